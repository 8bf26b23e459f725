"""The app that a server is given: the user's, adapted to that server, under ``--root-path``.

What enters: a :class:`TargetSpec`, through the environment, so that it reaches a server's workers
however they are started. What leaves: an app of the interface that the server speaks. Runs where
the server imports its app: on the main thread, before its event loop.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from typing import Any

import bridge
from bridge.cli.mount import mount_asgi, mount_wsgi, plain_asgi
from bridge.cli.served_apps import Part, Site, load_site
from bridge.cli.shutdown import end_well
from bridge.cli.targets import Asked
from bridge.types import Interface

__all__ = ["VARIABLE", "TargetSpec", "build"]

VARIABLE = "BRIDGE_RUN"
NO_LIFESPAN = ("daphne",)
"""Servers that speak ASGI and send no lifespan."""


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What to load and what to make of it.

    :ivar asked: the apps; one without a prefix is served alone, others go into a Router.
    :ivar server: its name.
    :ivar speaks: its interface.
    :ivar threads: threads of the adapter's pool, for WSGI apps on an ASGI server.
    :ivar root_path: where the app is mounted, as ``/shop``, or nothing.
    :ivar grace_s: seconds that the adapter's shutdown may take.
    """

    asked: tuple[Asked, ...]
    server: str
    speaks: Interface
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
        found = json.loads(os.environ[VARIABLE])
        found["asked"] = tuple(Asked(**each) for each in found["asked"])
        return cls(**found)

    def load(self) -> Site:
        """The apps, loaded. See :func:`~bridge.cli.served_apps.load_site`."""
        return load_site(self.asked, self.app_dir, self.threads, self.grace_s)


def build(spec: TargetSpec) -> Any:
    """The app to serve.

    :raises AppLoadError: see :func:`bridge.cli.load.loader.load`.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    """
    _show_our_log(spec.log_level)
    app = _adapt(spec.load(), spec)
    if spec.speaks == "asgi":
        mounted = mount_asgi(plain_asgi(app), spec.root_path)
        return end_well(mounted, spec.server, spec.grace_s)
    return mount_wsgi(app, spec.root_path)


def _adapt(site: Site, spec: TargetSpec) -> Any:
    part = site.single
    if part is None or site.is_universal:
        return site.app
    if part.interface == spec.speaks:
        return _lively(part, spec) if spec.server in NO_LIFESPAN else site.app
    if spec.speaks == "asgi":
        return bridge.WsgiToAsgi(site.app, threads=spec.threads, shutdown_timeout_s=spec.grace_s)
    return bridge.AsgiToWsgi(site.app, shutdown_timeout_s=spec.grace_s)


def _lively(part: Part, spec: TargetSpec) -> Any:
    """An ASGI app, with its lifespan run though the server does not."""
    return bridge.universal(part.mountable, shutdown_timeout_s=spec.grace_s)


def _show_our_log(level: str) -> None:
    """Servers show their own loggers only; ours has the app's errors."""
    logger = logging.getLogger("bridge")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))
        logger.addHandler(handler)
