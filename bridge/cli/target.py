"""The app that a server is given: the user's, adapted to that server, under ``--root-path``.

What enters: a :class:`TargetSpec`, through the environment, so that it reaches a server's workers
however they are started. What leaves: an app of the interface that the server speaks. Runs where
the server imports its app: on the main thread, before its event loop.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from dataclasses import asdict, dataclass
from typing import Any

import bridge
from bridge.cli.endings import end_well
from bridge.cli.mount import mount_asgi, mount_wsgi, plain_asgi
from bridge.loader import LoadedApp, load
from bridge.types import Interface

__all__ = ["VARIABLE", "TargetSpec", "build", "load_once"]

VARIABLE = "BRIDGE_RUN"


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What to load and what to make of it.

    :ivar server: its name.
    :ivar speaks: its interface.
    :ivar interface: the app's, where the user said it; None to look.
    :ivar threads: threads of the adapter's pool, for a WSGI app on an ASGI server.
    :ivar root_path: where the app is mounted, as ``/shop``, or nothing.
    :ivar grace_s: seconds that the adapter's shutdown may take.
    """

    target: str
    server: str
    speaks: Interface
    interface: Interface | None
    app_dir: str | None
    threads: int
    root_path: str
    grace_s: int
    log_level: str

    def to_environment(self) -> None:
        """Leave it for this process and its children."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> TargetSpec:
        """What ``bridge run`` left.

        :raises RuntimeError: this process was not started by ``bridge run``.
        """
        if VARIABLE not in os.environ:
            raise RuntimeError("bridge.cli.served:app is for the servers that `bridge run` starts")
        return cls(**json.loads(os.environ[VARIABLE]))


@functools.cache
def load_once(target: str, app_dir: str | None) -> LoadedApp:
    """Load it, or have it again: a server in this process must not call a factory twice."""
    return load(target, app_dir=app_dir)


def build(spec: TargetSpec) -> Any:
    """The app to serve.

    :raises AppLoadError: see :func:`bridge.loader.load`.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    """
    _show_our_log(spec.log_level)
    app = _adapt(load_once(spec.target, spec.app_dir), spec)
    if spec.speaks == "asgi":
        mounted = mount_asgi(plain_asgi(app), spec.root_path)
        return end_well(mounted, spec.server, spec.grace_s)
    return mount_wsgi(app, spec.root_path)


def _adapt(loaded: LoadedApp, spec: TargetSpec) -> Any:
    interface = spec.interface or loaded.interface
    if interface == spec.speaks:
        return loaded.app
    if spec.speaks == "asgi":
        return bridge.WsgiToAsgi(loaded.app, threads=spec.threads, shutdown_timeout_s=spec.grace_s)
    return bridge.AsgiToWsgi(loaded.app, shutdown_timeout_s=spec.grace_s)


def _show_our_log(level: str) -> None:
    """Servers show their own loggers only; ours has the app's errors."""
    logger = logging.getLogger("bridge")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))
        logger.addHandler(handler)
