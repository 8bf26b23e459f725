"""What must hold between a request to a native app and the same request to an app behind bridge.

- The app sees the same method, path, query, header fields and body: only :data:`REFUSALS` and
  :func:`expected` may change that.
- The client gets a well-formed response with the same status and framing.
- The next request on the connection is answered if and only if it is natively, by its own response.
- Every call ends, if it does natively. The server logs no traceback that it does not log natively,
  and what bridge logs has no control characters.

Where an app responds before the body has arrived, servers close the connection or not, as it
happens: only the first response counts there.

The rules are written here a second time, in another way than in bridge: from the native app's
point of view. Input: two :class:`~tests.fuzz.observed.Observed`. Output: the differences, as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.fuzz.exchange import Reply
from tests.fuzz.observed import Observed, Seen
from tests.fuzz.requests import SECOND

__all__ = ["REFUSALS", "Kind", "Refusal", "crosses", "differences", "expected", "refusal_of"]

Kind = Literal["asgi", "wsgi"]
OWS = " \t"
MAYBE_EMPTY = ("content-type", "content-length")
"""Empty in the environ of some servers if the request has none."""
MOST_REPETITIONS = 100
AROUND_COMMAS = re.compile(r"[ \t]*,[ \t]*")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


# -- what bridge refuses ---------------------------------------------------------------------------


def crosses(kind: Kind, through: str, path: str) -> bool:
    """Whether bridge converts a request for this app from one interface to the other.

    :param through: the letter of the app.
    """
    if through == "r":
        is_async = path == "/async" or path.startswith("/async/")
        return is_async if kind == "wsgi" else not is_async
    return through != "d" or kind == "asgi"


@dataclass(frozen=True)
class Refusal:
    """A request that bridge answers itself, although the server has passed it on.

    :ivar kind: of the server.
    :ivar applies: whether it does, given what the native app sees.
    """

    kind: Kind
    status: int
    reason: str
    applies: Callable[[Seen], bool]


def _is_no_path(seen: Seen) -> bool:
    return bool(seen.path) and seen.path[0] != "/" and seen.path != "*"


def _has_bad_length(seen: Seen) -> bool:
    values = [value.strip(OWS) for value in seen.values("content-length")]
    return any(not _is_number(value) for value in values)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 19


def _has_two(name: str) -> Callable[[Seen], bool]:
    return lambda seen: len({value.strip(OWS) for value in seen.values(name)}) > 1


def _is_framed_twice(seen: Seen) -> bool:
    return bool(seen.values("content-length") and seen.values("transfer-encoding"))


def _repeats_too_often(seen: Seen) -> bool:
    names = [name for name, _ in seen.headers if "_" not in name]
    return any(names.count(name) > MOST_REPETITIONS for name in {*names})


def _is_websocket(seen: Seen) -> bool:
    upgrades = [value.strip(OWS).lower() for value in seen.values("upgrade")]
    options = ",".join(seen.values("connection")).lower().split(",")
    asks = upgrades == ["websocket"] and "upgrade" in [option.strip(OWS) for option in options]
    return asks and seen.method == "GET" and not seen.is_http_10


def _has_no_end(seen: Seen) -> bool:
    coded, sized = seen.values("transfer-encoding"), seen.values("content-length")
    return bool(coded) and not sized and not seen.is_terminated


NO_PATH = Refusal("asgi", 400, "the target is not a path", _is_no_path)
NO_PATH_WSGI = Refusal("wsgi", 400, "the target is not a path", _is_no_path)
REFUSALS: tuple[Refusal, ...] = (
    Refusal("wsgi", 426, "it asks for a WebSocket", _is_websocket),
    NO_PATH,
    Refusal("asgi", 400, "Content-Length is not a number", _has_bad_length),
    Refusal("asgi", 400, "two values of Content-Length", _has_two("content-length")),
    Refusal("asgi", 400, "two values of Host", _has_two("host")),
    Refusal("asgi", 400, "Content-Length and Transfer-Encoding", _is_framed_twice),
    Refusal("asgi", 400, "too many lines of one header", _repeats_too_often),
    Refusal("wsgi", 411, "the server does not decode the chunked body", _has_no_end),
    NO_PATH_WSGI,
    Refusal("wsgi", 400, "Content-Length is not a number", _has_bad_length),
)
"""The requests that no app behind an adapter gets. A Router and Django refuse only targets that are
not paths for apps that they do not adapt."""


def refusal_of(seen: Seen, kind: Kind, through: str) -> Refusal | None:
    """Why bridge refuses a request, given what the native app sees; None if it does not."""
    refusals = REFUSALS if crosses(kind, through, seen.path) else (NO_PATH, NO_PATH_WSGI)
    applying = [each for each in refusals if each.applies(seen)]
    applying.sort(key=lambda each: each.kind != kind)
    kinds = ("asgi", "wsgi") if through == "t" else (kind,)
    return next((each for each in applying if each.kind in kinds), None)


# -- what an app behind bridge sees ----------------------------------------------------------------


def expected(seen: Seen, crossed: bool) -> Mapping[str, object]:
    """What an app behind bridge sees, given what the native app does.

    :param crossed: the interfaces of the server and the app differ.
    """
    return {
        "method": seen.method,
        "path": seen.path or "/",
        "query": seen.query,
        "headers": _joined(seen, crossed),
    }


def _joined(seen: Seen, crossed: bool) -> dict[str, str]:
    """One value for each header that an environ can have."""
    joined: dict[str, str] = {}
    for name, value in seen.headers:
        value = AROUND_COMMAS.sub(",", value.strip(OWS))
        if crossed and ("_" in name or (name in MAYBE_EMPTY and not value)):
            continue
        if name not in joined or (crossed and name in ("content-length", "host")):
            joined[name] = value
        else:
            joined[name] += ("; " if name == "cookie" else ",") + value
    joined.pop("x-through", None)
    return joined


# -- the relation ----------------------------------------------------------------------------------


def differences(native: Observed, bridged: Observed, kind: Kind, through: str) -> Iterator[str]:
    """Each way in which the relation does not hold.

    :param kind: of the server.
    :param through: the letter of the app.
    """
    first = next((each for each in native.seen if not _is_second(each)), None)
    refusal = refusal_of(first, kind, through) if first is not None else None
    yield from _seen_differences(native, bridged, kind, through)
    if bridged.answer.fault is not None and native.answer.fault is None:
        yield f"no well-formed response: {bridged.answer.fault}"
    elif native.answer.fault is not None:
        pass  # daphne sends a body without a length also in response to HEAD
    elif refusal is not None:
        yield from _refused_differences(native, bridged, refusal)
    else:
        yield from _reply_list_differences(native, bridged)
    yield from _side_effects(native, bridged)


def _seen_differences(
    native: Observed, bridged: Observed, kind: Kind, through: str
) -> Iterator[str]:
    rest = list(bridged.seen)
    for each in native.seen:
        refusal = refusal_of(each, kind, through)
        if rest and _is_second(each) == _is_second(rest[0]):
            found = rest.pop(0)
            if refusal is not None:
                yield f"the app got what bridge refuses, because {refusal.reason}"
            yield from _fact_differences(each, found, crosses(kind, through, each.path))
            if native.request.mode != "n" or _is_second(each):
                yield from _body_differences(each, found)
        elif refusal is None and not _is_cut(each) and not _may_be_lost(each, native):
            yield f"the app did not get {each.method!r} {each.path!r}"
    for each in rest:
        if not (_is_second(each) and _may_continue(native)):
            yield f"the app got {each.method!r} {each.path!r}, and the native app did not"


def _is_second(seen: Seen) -> bool:
    return seen.path == SECOND.decode()


def _may_continue(native: Observed) -> bool:
    """Whether the second request may be answered although it is not natively.

    A server closes the connection after an app's error, after a response without a length, and, as
    it happens, after one that did not wait for the body. If bridge or Django answers in place of
    the app, there is no such reason.
    """
    first = native.answer.replies[:1]
    ends = bool(first) and (
        first[0].status == 500 or first[0].closes or first[0].framing != "length"
    )
    return ends or native.request.leaves_body


def _may_be_lost(seen: Seen, native: Observed) -> bool:
    """Whether the server may not get as far as the second request."""
    return _is_second(seen) and native.request.leaves_body


def _is_cut(seen: Seen) -> bool:
    """Whether a body that was read is shorter than announced, whatever the server says of it."""
    lengths = [value.strip(OWS) for value in seen.values("content-length")]
    is_short = len(lengths) == 1 and lengths[0].isdecimal() and len(seen.body) < int(lengths[0])
    return seen.cut or is_short


def _fact_differences(native: Seen, found: Seen, crossed: bool) -> Iterator[str]:
    wanted, seen = expected(native, crossed), expected(found, crossed)
    for name, value in wanted.items():
        if name == "headers":
            yield from _header_differences(wanted, seen, found.body)
        elif seen[name] != value:
            yield f"{name} is {_short(seen[name])} instead of {_short(value)}"


def _body_differences(native: Seen, found: Seen) -> Iterator[str]:
    if _is_cut(native):
        if not _is_cut(found):
            yield "the app does not know that its body is cut short"
    elif found.cut:
        yield "the app got an error instead of its body"
    elif _without_letter(found.body) != _without_letter(native.body):
        yield f"body is {_short(found.body)} instead of {_short(native.body)}"


def _header_differences(
    wanted: Mapping[str, object], seen: Mapping[str, object], body: str
) -> Iterator[str]:
    expected_fields, fields = wanted["headers"], seen["headers"]
    assert isinstance(expected_fields, dict)
    assert isinstance(fields, dict)
    for name in sorted({*expected_fields, *fields}):
        value, found = expected_fields.get(name), fields.get(name)
        if value == found:
            continue
        is_added = name == "content-length" and value is None and "transfer-encoding" in fields
        if is_added and (found == str(len(body)) or not body):
            continue  # of a chunked body that was there at once, whether it was read or not
        yield f"header {name!r} is {_short(found)} instead of {_short(value)}"


def _without_letter(body: str) -> str:
    """A body without the letter of the app, which it has if it contains the second request."""
    before, marker, after = body.partition("X-Through: ")
    return before + marker + after[1:]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:100]}...{text[-80:]} ({len(text)} characters)"


def _reply_list_differences(native: Observed, bridged: Observed) -> Iterator[str]:
    one, other = native.answer, bridged.answer
    is_free = native.request.leaves_body
    is_cut = any(_is_cut(each) and not _is_second(each) for each in native.seen)
    if is_cut and native.request.mode != "n":
        if other.statuses[1:]:
            yield f"statuses {other.statuses} after a body that was cut short"
        return  # what is answered to nobody, or to a broken chunk, depends on the app's errors
    most = 1 if is_free else None
    if other.statuses[:most] != one.statuses[:most]:
        yield f"statuses {other.statuses} instead of {one.statuses}"
        return
    for number, (wanted, found) in enumerate(zip(one.replies, other.replies, strict=False)):
        yield from _reply_differences(number, wanted, found, is_free)
    if other.cut != one.cut and other.statuses[:1] != [500]:  # Django sends a page for HEAD, too
        yield "the response is cut short" if other.cut else "the response is not cut short"
    if other.closed != one.closed and not is_free:
        yield f"the connection is {'closed' if other.closed else 'open'}"


def _refused_differences(native: Observed, bridged: Observed, refusal: Refusal) -> Iterator[str]:
    statuses = bridged.answer.statuses
    if statuses == native.answer.statuses == [101]:
        return  # hypercorn has switched to HTTP/2, where the responses are
    if statuses[:1] != [refusal.status]:
        yield f"statuses {statuses}, although {refusal.reason}"
    for found in bridged.answer.replies[1:]:
        if native.answer.replies[1:]:
            yield from _reply_differences(1, native.answer.replies[1], found, True)
        elif not _may_continue(native):
            yield "the second request is answered"


def _reply_differences(number: int, wanted: Reply, found: Reply, may_close: bool) -> Iterator[str]:
    which = ("first", "second")[number]
    if found.status == 200 and found.body != wanted.body:
        yield f"the {which} response is {found.body!r} instead of {wanted.body!r}"
    if found.status >= 400 or found.status == 204:
        return
    # A server that gets a whole body at once may add its length.
    if found.framing not in (wanted.framing, "length"):
        yield f"the {which} response is framed by {found.framing} instead of {wanted.framing}"
    is_shorter = wanted.framing != found.framing
    if found.closes != wanted.closes and not (may_close or is_shorter):
        yield f"the {which} response {'has' if found.closes else 'lacks'} Connection: close"


def _side_effects(native: Observed, bridged: Observed) -> Iterator[str]:
    if bridged.busy > native.busy:
        yield f"{bridged.busy} calls do not end"
    has_raised = native.request.mode == "e" and native.seen
    if bridged.tracebacks > native.tracebacks and not has_raised:
        yield f"{bridged.tracebacks} tracebacks instead of {native.tracebacks}"
    for message in bridged.logged:
        if not message.isprintable():
            yield f"control characters in the log message {message!r}"
    if _controls(bridged.log) - _controls(native.log):
        yield f"control characters in the log: {bridged.log[-300:]!r}"


def _controls(log: str) -> set[str]:
    """The control characters in a log, without the colours of werkzeug's."""
    return {each for each in COLOUR.sub("", log) if not (each.isprintable() or each == "\n")}
