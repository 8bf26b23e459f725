"""A visit of a site: requests in order, with cookies, and the comparison of two visits.

Pure, except that :func:`visit` sends the requests to a port of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Template
from urllib.parse import urlencode

from tests.harness.http import Aborted, Http1Client, Response

__all__ = ["HOST", "Step", "differences", "visit"]

HOST = "localhost:8000"
"""The same for each server, so that the links in the pages do not differ."""

TIMEOUT_S = 120.0
OF_THE_SERVER = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
ETAG_OF_A_FILE = r'^"\d+(\.\d+)?-\d+-\d+"$'
"""As Werkzeug makes it: of the path, too, and each serving has its own folder."""

CUT_OFF = b"(cut off)"
SHOWN = 120  # characters of a value in a message


@dataclass(frozen=True)
class Step:
    """One request. ``$name`` in its path, body and header values is what an earlier step kept.

    :ivar status: what the application answers without bridge: a comparison of errors shows little.
    :ivar form: the fields of an HTML form, instead of ``body``.
    :ivar keep: name -> pattern with one group, to find in the body of the response.
    :ivar like: the serving to compare with, if not the first of the case.
    """

    path: str
    method: str = "GET"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    form: Mapping[str, str] | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    like: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def visit(port: int, steps: Sequence[Step]) -> list[Response]:
    """Send the requests one after another.

    :raises AssertionError: what a step keeps is not in its response.
    """
    client = Http1Client(port, TIMEOUT_S)
    cookies: dict[str, str] = {}
    kept: dict[str, str] = {}
    return [_send(client, step, cookies, kept) for step in steps]


def _send(
    client: Http1Client, step: Step, cookies: dict[str, str], kept: dict[str, str]
) -> Response:
    def filled(text: str) -> str:
        return Template(text).safe_substitute(kept)

    headers = {"host": HOST, **{name: filled(value) for name, value in step.headers.items()}}
    if cookies:
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    body = step.body if step.body is None else filled(step.body)
    if step.form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode({name: filled(value) for name, value in step.form.items()})
    raw = None if body is None else body.encode()
    try:
        response = client.fetch(step.method, filled(step.path), list(headers.items()), raw)
    except Aborted as aborted:
        response = replace(aborted.head or Response(0, ()), body=aborted.body + CUT_OFF)
    for line in response.header_values("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        cookies[name] = value
    for name, pattern in step.keep.items():
        found = re.search(pattern, response.body.decode("utf-8", "replace"))
        assert found, f"{step}: no {pattern!r} in {response}"
        kept[name] = found[1]
    return response


def differences(
    step: Step, expected: Response, answered: Response, varying: Sequence[str] = ()
) -> Iterator[str]:
    """How a response differs from the expected one, a line each.

    Headers are compared as a multiset of lines; those of the server's own are not compared, and
    Content-Length only if both have one.

    :param varying: patterns of what differs between any two runs, such as tokens.
    """
    if expected.status != answered.status:
        yield f"{step}: status {answered.status} instead of {expected.status}"
    wanted, found = _headers(expected, varying), _headers(answered, varying)
    if not {"content-length"} <= {name for name, _ in wanted} & {name for name, _ in found}:
        wanted = [each for each in wanted if each[0] != "content-length"]
        found = [each for each in found if each[0] != "content-length"]
    for line in wanted:
        if line not in found:
            yield f"{step}: no header {_short(line)}"
        else:
            found.remove(line)
    for line in found:
        yield f"{step}: an additional header {_short(line)}"
    bodies = [_masked(each.body.decode("latin-1"), varying) for each in (expected, answered)]
    if bodies[0] != bodies[1]:
        at = next((i for i, (a, b) in enumerate(zip(*bodies, strict=False)) if a != b), -1)
        at = min(map(len, bodies)) if at < 0 else at
        left, right = (each[max(0, at - 20) :] for each in bodies)
        yield f"{step}: the body is {_short(right)} instead of {_short(left)} at {at}"


def _headers(response: Response, varying: Sequence[str]) -> list[tuple[str, str]]:
    """The lines to compare; without what depends on the body if something in that was masked."""
    body = response.body.decode("latin-1")
    of_the_body = set() if _masked(body, varying) == body else {"content-length", "etag"}
    without = OF_THE_SERVER | of_the_body
    patterns = [*varying, DATE, ETAG_OF_A_FILE]
    lines = [(name, value) for name, value in response.headers if name not in without]
    return sorted((name, _masked(value, patterns)) for name, value in lines)


def _masked(text: str, varying: Sequence[str]) -> str:
    for pattern in varying:
        text = re.sub(pattern, "*", text)
    return text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
