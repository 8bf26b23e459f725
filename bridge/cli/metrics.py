"""``bridge run --metrics``: the address, and what each process that serves does.

The package ``bridge.metrics`` is imported only where the option is given: prometheus-client is an
extra.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import click
from asgiref.sync import markcoroutinefunction

from bridge._observe.asgi import ObservedAsgi
from bridge._observe.settings import Settings
from bridge._observe.wsgi import ObservedWsgi
from bridge._threads.loop_inbox import inbox_of
from bridge.cli.address import free_port
from bridge.cli.options import RunOptions, UsageError
from bridge.cli.servers.spec import ServerSpec, is_importable
from bridge.router.router import Router
from bridge.types import AsgiApp, Interface, Receive, Scope, Send

__all__ = [
    "DEFAULT_ADDRESS",
    "Address",
    "MetricsSpec",
    "check_metrics",
    "measured",
    "publish",
    "url_of_metrics",
]

DEFAULT_ADDRESS = "127.0.0.1:9464"


class Address(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """``HOST:PORT``, or ``PORT`` of 127.0.0.1. The value is always ``HOST:PORT``."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        host, colon, port = value.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535) or (colon and not host):
            self.fail(
                f"expected HOST:PORT, or a PORT of 127.0.0.1, not {value!r}. If that is the app: "
                "write --metrics=ADDRESS, or --metrics after the app",
                param,
                ctx,
            )
        return f"{host or '127.0.0.1'}:{port}"


@dataclass(frozen=True, kw_only=True)
class MetricsSpec:
    """Where each process that serves the app answers scrapes.

    :ivar is_shared: several processes do so, at the same address.
    """

    host: str
    port: int
    is_shared: bool


def check_metrics(options: RunOptions, spec: ServerSpec) -> MetricsSpec | None:
    """Check ``--metrics`` before anything is loaded or started.

    :returns: None if it is not given.
    :raises UsageError: prometheus-client is not installed, or the app has the same address.
    :raises AddressError: no server can listen there.
    """
    if options.metrics is None:
        return None
    if not is_importable("prometheus_client"):
        raise UsageError(
            "--metrics: prometheus-client is not installed. To install it: "
            "pip install 'wsgi-asgi-bridge[metrics]'"
        )
    host, _, port = options.metrics.rpartition(":")
    if options.uds is None and int(port) == options.port != 0:
        raise UsageError(
            f"--metrics: port {port} is that of the app. Metrics need an address of their own, "
            "which clients of the app cannot reach"
        )
    host = host.removeprefix("[").removesuffix("]")
    return MetricsSpec(
        host=host,
        port=free_port(host, int(port)),
        is_shared=not spec.serves_in_process(options),
    )


def url_of_metrics(metrics: MetricsSpec) -> str:
    """Where to scrape, and who can, if that may be others than this machine."""
    host = f"[{metrics.host}]" if ":" in metrics.host else metrics.host
    url = f"http://{host}:{metrics.port}/metrics"
    return url if _is_loopback(metrics.host) else f"{url}  (for everyone who reaches this address)"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# -- in each process that serves -------------------------------------------------------------------


def measured(app: Any, interface: Interface, metrics: MetricsSpec) -> Any:
    """The app with its requests counted, in a process that answers scrapes.

    :param interface: that the server calls it by.
    """
    from prometheus_client import REGISTRY

    from bridge.metrics.exposition import Exposition
    from bridge.metrics.listener import listen
    from bridge.metrics.measure import leave_adapters, record_in_adapters
    from bridge.metrics.process_metrics import process_metrics

    own = process_metrics()
    listen(metrics.host, metrics.port, Exposition(own, REGISTRY), is_shared=metrics.is_shared)
    counter = own.measuring.requests
    if record_in_adapters(app, counter):
        meets_loop = interface == "wsgi" or not isinstance(app, Router) or app.stats() is not None
        return app if meets_loop else _announce_loop(app.asgi)  # adapters meet it in their lifespan
    leave_adapters()  # that the app's own code has measured
    settings = Settings(observers=[counter])
    if interface == "wsgi":
        return ObservedWsgi(app, settings)
    return _announce_loop(ObservedAsgi(app, settings))


def publish() -> None:
    """Write the last numbers of this process, where others answer scrapes for it."""
    from bridge.metrics.process_metrics import process_metrics

    process_metrics().measuring.tick()


def _announce_loop(app: AsgiApp) -> AsgiApp:
    """``app``, whose event loop is measured from its first scope on, the lifespan's if there is
    one."""
    is_known = False

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        nonlocal is_known
        if not is_known:
            is_known = True
            inbox_of(get_running_loop())
        return app(scope, receive, send)

    return markcoroutinefunction(asgi)  # not async def: that would add a coroutine to each request
