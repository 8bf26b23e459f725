"""Options of the adapters, checked when the adapter is made. Pure.

Keyword arguments become a frozen dataclass, or raise a :class:`ConfigError` that names the option,
its value and what it accepts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from bridge.errors import ConfigError
from bridge.types import (
    LifespanMode,
    LoopFactory,
    TrustedEnviron,
    UnderscoreHeaders,
    WebSocketMode,
)

__all__ = [
    "OF_WEBSOCKETS",
    "TO_ASGI",
    "TO_WSGI",
    "Limit",
    "ToAsgiKeywords",
    "ToAsgiOptions",
    "ToWsgiKeywords",
    "ToWsgiOptions",
    "WebSocketKeywords",
    "WebSocketOptions",
    "boolean",
    "check_loop_factory",
    "check_names",
    "one_of",
    "optional_callable",
    "optional_positive_number",
    "positive_int",
    "positive_number",
    "zero_or_more",
]

_ORIGIN = re.compile(r"null|[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")  # RFC 6454, 6.2


def positive_int(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is an int of 1 or more."""
    if type(value) is not int or value < 1:
        raise ConfigError(option, value, "an int of 1 or more")


def zero_or_more(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is an int of 0 or more."""
    if type(value) is not int or value < 0:
        raise ConfigError(option, value, "an int of 0 or more")


def positive_number(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is an int or float above 0."""
    if type(value) not in (int, float) or not value > 0:  # type: ignore[operator]
        raise ConfigError(option, value, "a number above 0")


def optional_positive_int(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is None or an int of 1 or more."""
    _optional(positive_int, option, value)


def optional_positive_number(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is None or a number above 0."""
    _optional(positive_number, option, value)


def _optional(check: Callable[[str, object], None], option: str, value: object) -> None:
    if value is None:
        return
    try:
        check(option, value)
    except ConfigError as error:
        raise ConfigError(option, value, f"None or {error.takes}") from None


def optional_callable(option: str, value: object, shape: str) -> None:
    """:raises ConfigError: unless ``value`` is None or callable. ``shape`` is its signature."""
    if value is not None and not callable(value):
        raise ConfigError(option, value, f"None or a callable {shape}")


def check_loop_factory(value: object) -> None:
    """:raises ConfigError: unless ``value`` is None or callable."""
    optional_callable("loop_factory", value, "() -> asyncio.AbstractEventLoop")


def boolean(option: str, value: object) -> None:
    """:raises ConfigError: unless ``value`` is True or False."""
    if type(value) is not bool:
        raise ConfigError(option, value, "True or False")


def one_of(option: str, value: object, choices: tuple[Any, ...]) -> None:
    """:raises ConfigError: unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigError(option, value, "one of " + ", ".join(map(repr, choices)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Limit:
    """How many threads the requests below a path may use: a bulkhead.

    ::

        app = bridge.to_asgi(
            site,
            limits={
                "/reports": bridge.Limit(threads=8, backlog=50),
                "/healthz": bridge.Limit(threads=1, reserved=True),
            },
        )

    The same object at several prefixes is one limit for all of them.

    :param threads: how many of these requests run at once. Without ``reserved``, fewer than the app
        has threads.
    :param backlog: how many of them may wait. One more is answered with 503. They take no place in
        the app's own backlog.
    :param wait_target_s: how long they may wait in an overload, as for :class:`~bridge.WsgiToAsgi`.
    :param reserved: these threads are in addition to the app's, and run no other requests: so a
        request below this path waits only for others below it, also while all threads of the app
        are busy and its backlog is full.
    :raises ConfigError: an argument is wrong.
    """

    threads: int
    backlog: int = 50
    wait_target_s: float | None = 0.1
    reserved: bool = False

    def __post_init__(self) -> None:
        positive_int("threads", self.threads)
        positive_int("backlog", self.backlog)
        optional_positive_number("wait_target_s", self.wait_target_s)
        boolean("reserved", self.reserved)


def check_limits(value: object) -> None:
    """:raises ConfigError: unless ``value`` is None or a mapping to :class:`Limit`."""
    takes = "None or {path: bridge.Limit(...)}, such as {'/reports': bridge.Limit(threads=8)}"
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise ConfigError("limits", value, takes)
    for path, each in value.items():
        if not isinstance(each, Limit):
            raise ConfigError(f"limits[{path!r}]", each, "a bridge.Limit, such as Limit(threads=8)")


class ToAsgiKeywords(TypedDict, total=False):
    """The types of :class:`ToAsgiOptions`, for functions that pass them on as ``**options``."""

    threads: int
    executor: Executor | None
    backlog: int
    wait_target_s: float | None
    queue_timeout_s: float | None
    request_timeout_s: float | None
    loop_lag_target_s: float | None
    limits: Mapping[str, Limit] | None
    body_window: int
    buffer_request_bytes: int
    body_timeout_s: float | None
    response_window: int
    spool_bytes: int
    underscore_headers: UnderscoreHeaders
    duplicate_header_limit: int | None
    trusted_environ: TrustedEnviron | None
    shutdown_timeout_s: float
    websocket_threads: int
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToAsgiOptions:
    """Options of :class:`~bridge.WsgiToAsgi`; see there for what each means."""

    threads: int = 40
    executor: Executor | None = None
    backlog: int = 2048
    wait_target_s: float | None = 0.1
    queue_timeout_s: float | None = None
    request_timeout_s: float | None = None
    loop_lag_target_s: float | None = None
    limits: Mapping[str, Limit] | None = None
    body_window: int = 65536
    buffer_request_bytes: int = 65536
    body_timeout_s: float | None = 60
    response_window: int = 131072
    spool_bytes: int = 1073741824
    underscore_headers: UnderscoreHeaders = "drop"
    duplicate_header_limit: int | None = 100
    trusted_environ: TrustedEnviron | None = None
    shutdown_timeout_s: float = 30
    websocket_threads: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        for option in ("websocket_threads", "buffer_request_bytes", "spool_bytes"):
            zero_or_more(option, getattr(self, option))
        for option in (
            *("body_timeout_s", "wait_target_s", "loop_lag_target_s"),
            *("queue_timeout_s", "request_timeout_s"),
        ):
            optional_positive_number(option, getattr(self, option))
        for option in ("threads", "backlog", "body_window", "response_window"):
            positive_int(option, getattr(self, option))
        check_limits(self.limits)
        optional_positive_int("duplicate_header_limit", self.duplicate_header_limit)
        positive_number("shutdown_timeout_s", self.shutdown_timeout_s)
        boolean("strict", self.strict)
        one_of("underscore_headers", self.underscore_headers, ("drop", "keep", "refuse"))
        optional_callable("trusted_environ", self.trusted_environ, "(scope) -> {str: str}")
        if self.executor is not None and not isinstance(self.executor, Executor):
            raise ConfigError(
                "executor", self.executor, "None or a concurrent.futures.Executor of threads"
            )
        if self.executor is not None and self.loop_lag_target_s is not None:
            raise ConfigError(
                "loop_lag_target_s",
                self.loop_lag_target_s,
                "None with an executor, which decides how many of its threads run: "
                "bridge.WorkerPool(loop_lag_target_s=...) is one",
            )
        if type(self.executor).__name__ == "ProcessPoolExecutor":
            raise ConfigError(
                "executor", self.executor, "threads: a request cannot cross processes"
            )


class WebSocketKeywords(TypedDict, total=False):
    """The types of :class:`WebSocketOptions`, for functions that pass them on as ``**options``."""

    websockets: WebSocketMode
    websocket_origins: Sequence[str] | None
    max_message_bytes: int
    ping_interval_s: float | None
    ping_timeout_s: float
    close_timeout_s: float
    per_message_deflate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """Options for the WebSockets of ASGI apps on WSGI servers; see :class:`~bridge.AsgiToWsgi`."""

    websockets: WebSocketMode = "auto"
    websocket_origins: Sequence[str] | None = None
    max_message_bytes: int = 16 * 1024 * 1024
    ping_interval_s: float | None = 20
    ping_timeout_s: float = 20
    close_timeout_s: float = 10
    per_message_deflate: bool = True

    def check_websockets(self) -> None:
        """:raises ConfigError: an option is wrong."""
        one_of("websockets", self.websockets, ("auto", "off"))
        positive_int("max_message_bytes", self.max_message_bytes)
        optional_positive_number("ping_interval_s", self.ping_interval_s)
        positive_number("ping_timeout_s", self.ping_timeout_s)
        positive_number("close_timeout_s", self.close_timeout_s)
        boolean("per_message_deflate", self.per_message_deflate)
        origins = self.websocket_origins
        if origins is not None:
            takes = "None or a list of origins, such as ['https://example.org']"
            if isinstance(origins, (str, bytes)) or not isinstance(origins, (list, tuple, set)):
                raise ConfigError("websocket_origins", origins, takes)
            if not all(isinstance(each, str) and _ORIGIN.fullmatch(each) for each in origins):
                raise ConfigError("websocket_origins", origins, takes)
            lower = tuple(each.lower() for each in origins)  # as browsers send them
            object.__setattr__(self, "websocket_origins", lower)


class ToWsgiKeywords(WebSocketKeywords, total=False):
    """The types of :class:`ToWsgiOptions`, for functions that pass them on as ``**options``."""

    lifespan: LifespanMode
    loop_factory: LoopFactory | None
    body_window: int
    response_window: int
    startup_timeout_s: float
    shutdown_timeout_s: float
    request_timeout_s: float | None
    task_timeout_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToWsgiOptions(WebSocketOptions):
    """Options of :class:`~bridge.AsgiToWsgi`; see there for what each means."""

    lifespan: LifespanMode = "auto"
    loop_factory: LoopFactory | None = None
    body_window: int = 65536
    response_window: int = 131072
    startup_timeout_s: float = 30
    shutdown_timeout_s: float = 30
    request_timeout_s: float | None = None
    task_timeout_s: float | None = None

    def __post_init__(self) -> None:
        one_of("lifespan", self.lifespan, ("auto", "on", "off"))
        check_loop_factory(self.loop_factory)
        positive_int("body_window", self.body_window)
        positive_int("response_window", self.response_window)
        positive_number("startup_timeout_s", self.startup_timeout_s)
        positive_number("shutdown_timeout_s", self.shutdown_timeout_s)
        optional_positive_number("request_timeout_s", self.request_timeout_s)
        optional_positive_number("task_timeout_s", self.task_timeout_s)
        self.check_websockets()


TO_ASGI = frozenset(field.name for field in fields(ToAsgiOptions))
TO_WSGI = frozenset(field.name for field in fields(ToWsgiOptions))
OF_WEBSOCKETS = frozenset(field.name for field in fields(WebSocketOptions))


def check_names(options: Mapping[str, object], known: Collection[str]) -> None:
    """
    :param known: the names that the called function accepts.
    :raises ConfigError: a name in ``options`` is another one. Has a similar name, or the function
        that accepts it, and all names in ``known``.
    """
    for name, value in options.items():
        if name not in known:
            takes = f"no value: there is no such option. {_hint(name, known)}Options: "
            raise ConfigError(name, value, takes + ", ".join(sorted(known)))


def _hint(name: str, known: Collection[str]) -> str:
    for function, names in (("to_asgi", TO_ASGI), ("to_wsgi", TO_WSGI)):
        if name in names:
            return f"It is an option of {function}. "
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}? " if near else ""
