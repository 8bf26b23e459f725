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


def _granian_refuses_broken_chunks(case: Case) -> bool:
    first = case.native.seen[:1]
    return (
        case.server == "granian"
        and bool(first)
        and first[0].cut
        and case.difference == "statuses [400] instead of [500]"
    )


def _granian_frames_whole_bodies(case: Case) -> bool:
    framed = "response is framed by length instead of chunked"
    return case.server == "granian" and case.difference.endswith(framed)


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
        "granian reports a broken chunk as a disconnect and answers 500 where the app has nothing "
        "to say. bridge answers 400 (docs/explanation/errors.md).",
        _granian_refuses_broken_chunks,
    ),
    Known(
        "granian sends a body that it gets in one message with a Content-Length.",
        _granian_frames_whole_bodies,
    ),
    Known("Django has no URL pattern that matches `*`: it answers 404.", _django_has_no_asterisk),
    Known(
        "Django encodes bytes of a path again that are not UTF-8, on every server.",
        _django_quotes_again,
    ),
    Known(
        "Django answers the error of a view itself, so the connection stays open.",
        _django_answers_errors,
    ),
)
"""Everything that the fuzzer does not report."""
