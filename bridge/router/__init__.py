"""WSGI and ASGI apps side by side in one process: :class:`Router`."""

from bridge.router.mount import Mount
from bridge.router.router import Router, start_apps, universal

__all__ = ["Mount", "Router", "start_apps", "universal"]
