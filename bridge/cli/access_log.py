"""The access log of ``bridge run``, on stdout, the same on every server.

Runs in each process that serves, where it imports its app, before the event loop.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from bridge._observe.access_log import ACCESS_LOGGER
from bridge._observe.asgi import ObservedAsgi
from bridge._observe.observe import ObserveKeywords, settings_of
from bridge._observe.wsgi import ObservedWsgi
from bridge.types import Interface

__all__ = ["observe_served"]


def observe_served(app: Any, interface: Interface, options: ObserveKeywords) -> Any:
    """The app with its requests observed.

    :param interface: that the server calls it by, which is known: the app may have both.
    """
    if options.get("access_log") is not None:
        _show_log(is_text=options["access_log"] == "text")
    settings = settings_of(options)
    return (ObservedAsgi if interface == "asgi" else ObservedWsgi)(app, settings)


def _show_log(*, is_text: bool) -> None:
    """Write the access log to stdout, unless the app has set up its logger."""
    logger = logging.getLogger(ACCESS_LOGGER)
    logger.setLevel(logging.INFO)
    logger.disabled = False  # by logging.config, of an app that does not name it
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if is_text else "%(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
