"""Response heads that an app has made of its client's text must not split the response.

Input: the number of a payload (:mod:`tests.fuzz.payloads`). Output: what is wrong with the answer.
The control characters are refused or sent as part of one field; in any case the client gets one
well-formed response, with no field that only the payload has, and the connection stays in step.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.observed import Observer
from tests.fuzz.payloads import INJECTED
from tests.fuzz.requests import FuzzedRequest

__all__ = ["THROUGH", "payload_request", "splitting_differences"]

THROUGH = ("a", "r", "t")
"""The apps that send payloads."""


def payload_request(number: int, kind: str) -> FuzzedRequest:
    """The request to which an app responds with a payload.

    :param kind: of the server.
    """
    target = b"/" if kind == "asgi" else b"/async"  # where the Router's app is of the other kind
    return FuzzedRequest(number, b"GET %b HTTP/1.1" % target, (b"Host: h\r\n",), mode="p")


def splitting_differences(
    observer: Observer, number: int, through: str, quiet_s: float
) -> Iterator[str]:
    """Each way in which a payload gets through an app behind bridge."""
    request = payload_request(number, observer.server.spec.kind)
    observed = observer.observe(request, through, quiet_s=quiet_s)
    answer = observed.answer
    if answer.fault is not None:
        yield f"no well-formed response: {answer.fault}"
    elif not answer.replies:
        yield f"no response: {answer.data[:200]!r}"
    else:
        if answer.statuses[0] not in (200, 500):
            yield f"status {answer.statuses[0]}"
        for reply in answer.replies:
            if INJECTED.lower() in reply.names:
                yield f"the client got the field {INJECTED}"
        if answer.replies[0].status == 200 and answer.replies[0].body != b"payload":
            yield f"the response is {answer.replies[0].body!r}"
        if answer.replies[1:] and answer.replies[1].body != b"second":
            yield f"the second response is {answer.replies[1].body!r}"
    if observed.busy:
        yield f"{observed.busy} calls do not end"
    for message in observed.logged:
        if not message.isprintable():
            yield f"control characters in the log message {message!r}"
