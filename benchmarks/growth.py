"""How the cost of one request grows with its size: headers, body, chunks, mounted apps.

Output: for each kind of growth, CPU microseconds per request, in process, for bridge and, where it
can do the same, for a2wsgi. A line that bends upwards shows work that is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import a2wsgi

import bridge
from benchmarks.requests_in_process import HEADERS, Case, asgi_requests, make_scope
from bridge.types import Environ

__all__ = ["measure"]

ROUNDS = 5
BUDGET_S = 0.06
PIECE = 65536


def _hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


def _read(environ: Environ, start_response: Any) -> list[bytes]:
    while environ["wsgi.input"].read(PIECE):
        pass
    return _hello(environ, start_response)


def _chunks(count: int) -> Callable[[Environ, Any], Iterator[bytes]]:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(count):
            yield b"x" * 64

    return app


def _adapters(app: Any) -> dict[str, Any]:
    return {
        "bridge": bridge.to_asgi(app, threads=4),
        "a2wsgi": a2wsgi.WSGIMiddleware(cast(Any, app), workers=4),
    }


def _headers(count: int) -> dict[str, Case]:
    fields = [*HEADERS, *((b"x-field-%d" % number, b"v" * 20) for number in range(count))]
    return _cases(_adapters(_hello), fields)


def _repeated(count: int) -> dict[str, Case]:
    fields = [*HEADERS, *[(b"x-forwarded-for", b"192.0.2.1")] * count]
    apps = {"bridge": bridge.to_asgi(_hello, threads=4, duplicate_header_limit=10_000)}
    return _cases({**_adapters(_hello), **apps}, fields)


def _body(kilobytes: int) -> dict[str, Case]:
    whole, rest = divmod(kilobytes << 10, PIECE)
    pieces = [b"x" * PIECE] * whole + ([b"x" * rest] if rest or not whole else [])
    fields = [*HEADERS, (b"content-length", str(kilobytes << 10).encode())]
    return _cases(_adapters(_read), fields, pieces)


def _response(count: int) -> dict[str, Case]:
    return _cases(_adapters(_chunks(count)), HEADERS)


def _mounts(count: int) -> dict[str, Case]:
    app = bridge.to_asgi(_hello, threads=4)
    mounts: dict[str, Any] = {f"/app{number}": app for number in range(count)}
    router = bridge.Router({**mounts, "/": app})
    return {"bridge": lambda: asgi_requests(router, make_scope("/some/page"))}


def _cases(
    apps: dict[str, Any],
    fields: Sequence[tuple[bytes, bytes]],
    body: Sequence[bytes] = (b"",),
) -> dict[str, Case]:
    scope = make_scope("/", fields)
    return {
        name: (lambda app=app: asgi_requests(app, scope, body))  # type: ignore[misc]  # binds app now
        for name, app in apps.items()
    }


GROWTH: dict[str, tuple[str, str, tuple[int, ...], Callable[[int], dict[str, Case]]]] = {
    "headers": ("A request with more header fields", "header fields", (0, 25, 50, 100), _headers),
    "repeated": (
        "A request with one field repeated",
        "lines of one field",
        (1, 250, 500, 1000),
        _repeated,
    ),
    "body": ("A longer request body", "KB", (0, 256, 512, 1024, 2048), _body),
    "chunks": ("A response with more chunks", "chunks of 64 bytes", (1, 50, 100, 200), _response),
    "mounts": ("A Router with more apps", "mounted apps", (1, 25, 50, 100), _mounts),
}


def measure(*, quick: bool) -> list[dict[str, Any]]:
    """Measure each kind of growth, as data for `benchmarks.report`.

    :param quick: fewer rounds.
    """
    return [
        {
            "name": name,
            "title": title,
            "x": x_name,
            "y": "CPU µs per request",
            "lines": _lines(counts, cases_of, 2 if quick else ROUNDS),
        }
        for name, (title, x_name, counts, cases_of) in GROWTH.items()
    ]


def _lines(
    counts: Sequence[int], cases_of: Callable[[int], dict[str, Case]], rounds: int
) -> dict[str, list[tuple[int, float]]]:
    lines: dict[str, list[tuple[int, float]]] = {}
    for count in counts:
        for name, case in cases_of(count).items():
            lines.setdefault(name, []).append((count, round(_cost_us(case, rounds), 2)))
    return lines


def _cost_us(case: Case, rounds: int) -> float:
    """The lowest of the rounds, each long enough for the resolution of the clock."""
    with case() as send_requests:
        one_s = max(send_requests(5) / 5, 1e-6)
        count = max(5, round(BUDGET_S / one_s))
        return float(min(send_requests(count) for _ in range(rounds)) / count * 1e6)
