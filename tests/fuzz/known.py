"""Differences from a native app that are documented, each with its reason.

The refusals that no app behind bridge gets are in :data:`tests.fuzz.relation.REFUSALS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.observed import Observed
from tests.fuzz.requests import FuzzedRequest

__all__ = ["KNOWN", "Case", "Known", "is_known"]

DEVELOPMENT = ("wsgiref", "werkzeug")


@dataclass(frozen=True)
class Case:
    """A difference, and where it was found.

    :ivar difference: as :func:`tests.fuzz.relation.differences` describes it.
    :ivar server: the name of the server.
    :ivar through: the letter of the app.
    """

    difference: str
    server: str
    through: str
    request: FuzzedRequest
    native: Observed
    bridged: Observed


@dataclass(frozen=True)
class Known:
    """A documented difference."""

    reason: str
    applies: Callable[[Case], bool]


def is_known(case: Case) -> bool:
    """Whether the difference is documented."""
    return any(known.applies(case) for known in KNOWN)


def _broken_body_is_refused_first(case: Case) -> bool:
    statuses = case.bridged.answer.statuses
    return (
        case.difference.startswith(("the app did not get", "statuses"))
        and case.request.leaves_body
        and (statuses in ([], [400]) or statuses == case.native.answer.statuses)
        and not case.bridged.seen
    )


def _hypercorn_refuses_what_follows_a_close(case: Case) -> bool:
    return (
        case.server.startswith("hypercorn")
        and case.native.answer.statuses == case.bridged.answer.statuses
        and case.bridged.answer.statuses in ([400], [501])
        and case.difference.startswith(("the app did not get", "the app got"))
    )


def _hypercorn_does_not_end_the_call(case: Case) -> bool:
    is_refused = case.bridged.answer.statuses[:1] == [400] and not case.bridged.seen
    return (
        case.server.startswith("hypercorn")
        and is_refused
        and case.request.may_have_body
        and case.difference.endswith(("calls do not end", "'/the-second-request'"))
    )


def _werkzeug_waits(case: Case) -> bool:
    return case.server == "werkzeug" and case.difference.startswith("the connection is")


def _django_sends_pages_for_head(case: Case) -> bool:
    return (
        case.through == "d"
        and case.server in ("waitress", *DEVELOPMENT)
        and case.request.is_head
        and case.difference.startswith("no well-formed response: status line")
    )


def _development_servers_drop(case: Case) -> bool:
    is_gone = case.bridged.answer.closed and not case.bridged.answer.data
    lost = case.difference.startswith("statuses []") and is_gone
    logged = case.server == "wsgiref" and "tracebacks instead of" in case.difference
    return case.server in DEVELOPMENT and (lost or logged)


def _has_no_head(case: Case) -> bool:
    return case.server in DEVELOPMENT and case.request.line.endswith(b" HTTP/0.9")


def _httptools_loses_bodies(case: Case) -> bool:
    is_upgrade = any(b"upgrade:" in field.lower() for field in case.request.fields)
    return (
        case.server in ("uvicorn-httptools", "uvicorn-uvloop")
        and is_upgrade
        and case.request.may_have_body
        and case.difference.startswith(("1 tracebacks", "statuses [500"))
    )


def _granian_logs_disconnects(case: Case) -> bool:
    is_cut = any(seen.cut for seen in case.bridged.seen)
    return case.server == "granian-wsgi" and is_cut and "tracebacks instead of" in case.difference


def _granian_ends_broken_chunks(case: Case) -> bool:
    is_chunked = any(seen.values("transfer-encoding") for seen in case.native.seen[:1])
    return case.server == "granian-wsgi" and is_chunked and case.difference.startswith("body is")


def _django_has_no_asterisk(case: Case) -> bool:
    first = case.native.seen[:1]
    return (
        case.through == "d"
        and bool(first)
        and first[0].path == "*"
        and case.difference.startswith(("the app did not get", "statuses [404"))
    )


def _django_quotes_again(case: Case) -> bool:
    if case.through != "d" or not case.difference.startswith("path is"):
        return False
    pairs = zip(case.native.seen, case.bridged.seen, strict=False)
    return all(_replaced(one.path) == _replaced(other.path) for one, other in pairs)


def _replaced(path: str) -> str:
    return re.sub("(%[89A-F][0-9A-F]|\ufffd)+", "\ufffd", path)


def _django_reads_lengths_itself(case: Case) -> bool:
    lengths = [value for seen in case.native.seen[:1] for value in seen.values("content-length")]
    return (
        case.through == "d"
        and case.server in ("wsgiref", "werkzeug")
        and any(not (value.isascii() and value.isdigit()) for value in lengths)
    )


def _django_answers_errors(case: Case) -> bool:
    is_answered = case.bridged.answer.statuses[:1] == [500] == case.native.answer.statuses
    return case.through == "d" and is_answered and case.difference.startswith("statuses [500, ")


KNOWN = (
    Known(
        "An app that does not read the body runs natively before its first bytes arrive. Behind "
        "to_asgi it runs after that, so a body that is malformed from its beginning is refused "
        "without it (docs/explanation/request.md).",
        _broken_body_is_refused_first,
    ),
    Known(
        "hypercorn answers 400 to what follows a request with Connection: close, and 501 to what "
        "it cannot parse, whether the app has been called or not.",
        _hypercorn_refuses_what_follows_a_close,
    ),
    Known(
        "hypercorn's send() does not return while ten messages of the body wait to be read, and a "
        "refused request leaves its body unread: the connection gets no other request. A native "
        "app that does not read meets the same.",
        _hypercorn_does_not_end_the_call,
    ),
    Known(
        "werkzeug's server reads what the client still sends before it closes the connection, "
        "unless its buffer has that already.",
        _werkzeug_waits,
    ),
    Known(
        "The servers of wsgiref and Werkzeug close the connection after each response. If bytes of "
        "the client are left, it may be reset before the client has the response, and wsgiref logs "
        "that.",
        _development_servers_drop,
    ),
    Known(
        "The servers of wsgiref and Werkzeug answer HTTP/0.9, which has no head.",
        _has_no_head,
    ),
    Known(
        "uvicorn with httptools reports an empty body for a request that asks for an upgrade. With "
        "a Content-Length that is an error where the app reads the body, which may log it.",
        _httptools_loses_bodies,
    ),
    Known(
        "granian's WSGI mode logs every exception, also that of a client that has disconnected.",
        _granian_logs_disconnects,
    ),
    Known(
        "granian's WSGI mode reports a broken chunk as the end of the body; how much of the body "
        "precedes it depends on the reads (docs/explanation/guarantees.md).",
        _granian_ends_broken_chunks,
    ),
    Known("Django has no URL pattern that matches `*`: it answers 404.", _django_has_no_asterisk),
    Known(
        "On a WSGI server Django reads Content-Length itself, also one that is not a number: 500, "
        "or what int() makes of it. Only development servers pass it on.",
        _django_reads_lengths_itself,
    ),
    Known(
        "Django encodes bytes of a path again that are not UTF-8, on every server.",
        _django_quotes_again,
    ),
    Known(
        "Django sends its error pages also for HEAD, and these servers do not drop the body.",
        _django_sends_pages_for_head,
    ),
    Known(
        "Django answers the error of a view itself, so the connection stays open.",
        _django_answers_errors,
    ),
)
"""Everything that the fuzzer does not report."""
