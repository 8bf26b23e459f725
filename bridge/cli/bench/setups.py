"""The setups that can serve an app on this machine, with bridge and without.

Input: the loaded app and the options. Output: a list of :class:`Setup`, without those whose server
or adapter is not installed, and the missing packages. Imports no server and no adapter.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import HOST, PORT
from bridge.cli.bench.results import Kind
from bridge.cli.bench.served import TARGET, AppSpec
from bridge.cli.load.target import LoadedApp
from bridge.cli.options import UsageError
from bridge.types import Interface

__all__ = ["Setup", "find_setups"]


@dataclass(frozen=True)
class Setup:
    """A server, and the adapter around the app where the server needs one.

    :ivar command: arguments for the interpreter; ``{port}`` stands for the port.
    :ivar wrapper: how `bridge.cli.bench.served` wraps the app.
    :ivar needs: modules that must be installed.
    :ivar env: added to the server's environment.
    """

    name: str
    kind: Kind
    command: Sequence[str]
    wrapper: str
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


_UVICORN = (
    *("-m", "uvicorn", TARGET, "--host", HOST, "--port", PORT, "--interface", "asgi3"),
    *("--no-access-log", "--log-level", "warning"),
)
_GRANIAN = (
    *("-m", "granian", TARGET, "--interface", "wsgi", "--host", HOST, "--port", PORT),
    *("--log-level", "error"),
)
_WAITRESS = ("-m", "waitress", f"--listen={HOST}:{PORT}")


def _gunicorn(*options: str) -> tuple[str, ...]:
    fixed = ("--bind", f"{HOST}:{PORT}", "--log-level", "error", "--graceful-timeout", "1")
    return ("-m", "gunicorn", TARGET, *fixed, *options)


def _gthread(threads: int) -> tuple[str, ...]:
    return _gunicorn("--worker-class", "gthread", "--threads", str(threads))


def _for_wsgi_app(threads: int) -> list[Setup]:
    waitress = (*_WAITRESS, f"--threads={threads}", TARGET)
    granian = (*_GRANIAN, "--blocking-threads", str(threads))
    return [
        Setup("bridge on uvicorn", "bridge", _UVICORN, "bridge", ("uvicorn",)),
        Setup("a2wsgi on uvicorn", "other", _UVICORN, "a2wsgi", ("a2wsgi", "uvicorn")),
        Setup("gunicorn gthread", "stay", _gthread(threads), "plain", ("gunicorn",)),
        Setup("granian WSGI", "stay", granian, "plain", ("granian",)),
        Setup("waitress", "stay", waitress, "plain", ("waitress",)),
    ]


def _for_asgi_app(threads: int) -> list[Setup]:
    gunicorn_asgi = _gunicorn("--worker-class", "asgi")
    gthread = _gthread(threads)
    return [
        Setup("bridge on gunicorn gthread", "bridge", gthread, "bridge", ("gunicorn",)),
        Setup("a2wsgi on gunicorn gthread", "other", gthread, "a2wsgi", ("a2wsgi", "gunicorn")),
        Setup("uvicorn", "stay", _UVICORN, "plain", ("uvicorn",)),
        Setup("gunicorn -k asgi", "stay", gunicorn_asgi, "plain", ("gunicorn.workers.gasgi",)),
    ]


def _for_django(interface: Interface) -> list[Setup]:
    hybrid = "bridge.contrib.django"
    ours = Setup(f"{hybrid} on uvicorn", "bridge", _UVICORN, hybrid, ("uvicorn",))
    if interface == "asgi":
        return [ours]
    return [ours, Setup("Django's ASGI on uvicorn", "other", _UVICORN, "django", ("uvicorn",))]


def find_setups(
    loaded: LoadedApp, interface: Interface, options: BenchOptions
) -> tuple[list[Setup], list[str]]:
    """Find what can be measured here.

    :returns: the setups, and the packages that further ones need.
    :raises UsageError: no setup matches ``--only``, or no server is installed.
    """
    for_app = _for_asgi_app if interface == "asgi" else _for_wsgi_app
    known = [*(_for_django(interface) if _is_django(loaded.app) else []), *for_app(options.threads)]
    missing = {need for setup in known for need in setup.needs if not _is_importable(need)}
    possible = [setup for setup in known if missing.isdisjoint(setup.needs)]
    chosen = [setup for setup in possible if _matches(setup, options.only)]
    if not possible:
        raise UsageError(f"no server to measure: pip install {' '.join(sorted(missing))}")
    if not chosen:
        names = ", ".join(setup.name for setup in possible)
        only = ", ".join(options.only)
        raise UsageError(f"--only {only}: no setup has this in its name. Setups: {names}")
    with_env = [replace(each, env=_environment(each, interface, options)) for each in chosen]
    return with_env, sorted(name for name in missing if "." not in name)


def _environment(setup: Setup, interface: Interface, options: BenchOptions) -> dict[str, str]:
    spec = AppSpec(
        target=options.target,
        app_dir=options.app_dir_text,
        interface=interface,
        wrapper=setup.wrapper,
        threads=options.threads,
    )
    return {**spec.environment(), "PYTHONWARNINGS": "ignore"}


def _matches(setup: Setup, only: list[str]) -> bool:
    return not only or any(part.lower() in setup.name.lower() for part in only)


def _is_django(app: Any) -> bool:
    """Whether it is Django's own handler, or derived from it, as the one for static files is."""
    base = sys.modules.get("django.core.handlers.base")
    return base is not None and isinstance(app, base.BaseHandler)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
