"""The ways in which an app could be served on this machine: with bridge, and without.

What enters: what was loaded, and the options. What leaves: one :class:`Way` for each; servers and
adapters that are not installed are left out, and named. Imports none of them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import HOST, PORT
from bridge.cli.bench.served import TARGET, WayToServe
from bridge.cli.load.loader import LoadedApp
from bridge.cli.options import UsageError
from bridge.types import Interface

__all__ = ["Kind", "Way", "ways_to_serve"]

Kind = Literal["bridge", "stay", "other"]
"""With bridge; as the app's own interface has it, without any adapter; by another adapter."""


@dataclass(frozen=True)
class Way:
    """One way to serve the app.

    :ivar command: arguments for the interpreter.
    :ivar needs: packages, without which there is no such way.
    """

    name: str
    kind: Kind
    command: Sequence[str]
    wrapped: str
    needs: tuple[str, ...] = field(default=())


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


def _of_wsgi_app(threads: int) -> list[Way]:
    waitress = (*_WAITRESS, f"--threads={threads}", TARGET)
    granian = (*_GRANIAN, "--blocking-threads", str(threads))
    return [
        Way("bridge on uvicorn", "bridge", _UVICORN, "bridge", ("uvicorn",)),
        Way("a2wsgi on uvicorn", "other", _UVICORN, "a2wsgi", ("a2wsgi", "uvicorn")),
        Way("gunicorn gthread", "stay", _gthread(threads), "plain", ("gunicorn",)),
        Way("granian WSGI", "stay", granian, "plain", ("granian",)),
        Way("waitress", "stay", waitress, "plain", ("waitress",)),
    ]


def _of_asgi_app(threads: int) -> list[Way]:
    own = _gunicorn("--worker-class", "asgi")
    gthread = _gthread(threads)
    return [
        Way("bridge on gunicorn gthread", "bridge", gthread, "bridge", ("gunicorn",)),
        Way("a2wsgi on gunicorn gthread", "other", gthread, "a2wsgi", ("a2wsgi", "gunicorn")),
        Way("uvicorn", "stay", _UVICORN, "plain", ("uvicorn",)),
        Way("gunicorn -k asgi", "stay", own, "plain", ("gunicorn.workers.gasgi",)),
    ]


def _of_django(interface: Interface) -> list[Way]:
    hybrid = "bridge.contrib.django"
    ours = Way(f"{hybrid} on uvicorn", "bridge", _UVICORN, hybrid, ("uvicorn",))
    if interface == "asgi":
        return [ours]
    return [ours, Way("Django's ASGI on uvicorn", "other", _UVICORN, "django", ("uvicorn",))]


def ways_to_serve(
    loaded: LoadedApp, interface: Interface, options: BenchOptions
) -> tuple[list[Way], list[str]]:
    """What can be measured here.

    :returns: the ways, and the packages that more of them would need.
    :raises UsageError: ``--only`` leaves nothing, or nothing is installed.
    """
    make = _of_asgi_app if interface == "asgi" else _of_wsgi_app
    known = [*(_of_django(interface) if _is_django(loaded.app) else []), *make(options.threads)]
    missing = {need for way in known for need in way.needs if not _is_importable(need)}
    possible = [way for way in known if missing.isdisjoint(way.needs)]
    chosen = [way for way in possible if _is_asked_for(way, options.only)]
    if not possible:
        raise UsageError(f"nothing to measure with: pip install {' '.join(sorted(missing))}")
    if not chosen:
        names = ", ".join(way.name for way in possible)
        raise UsageError(f"--only {', '.join(options.only)}: no way has such a name. Ways: {names}")
    return chosen, sorted(name for name in missing if "." not in name)


def environment_of(way: Way, interface: Interface, options: BenchOptions) -> dict[str, str]:
    """What `bridge.cli.bench.served` needs to know of it."""
    return WayToServe(
        target=options.target,
        app_dir=None if options.app_dir is None else str(options.app_dir),
        interface=interface,
        wrapped=way.wrapped,
        threads=options.threads,
    ).environment()


def _is_asked_for(way: Way, only: list[str]) -> bool:
    return not only or any(part.lower() in way.name.lower() for part in only)


def _is_django(app: Any) -> bool:
    """Django's own handler, or one derived from it, as the one that serves static files."""
    base = sys.modules.get("django.core.handlers.base")
    return base is not None and isinstance(app, base.BaseHandler)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
