"""Runs seeds against a server: finds differences, confirms them and reduces their requests."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fuzz.known import Case, is_known
from tests.fuzz.observed import Observed, Observer
from tests.fuzz.relation import differences
from tests.fuzz.requests import FuzzedRequest, request_of
from tests.fuzz.splitting import THROUGH, payload_request, splitting_differences
from tests.harness.servers import ASGI_SERVERS, SERVERS, ServerSpec, serve
from tests.harness.wsgi_servers import WSGI

__all__ = ["APPS", "FUZZED", "Failure", "Outcome", "fuzz", "observing", "split"]

FUZZED: dict[str, ServerSpec] = {
    **{name: SERVERS[name] for name in ASGI_SERVERS if SERVERS[name].http == "1.1"},
    **{name: WSGI[name].spec for name in WSGI if name != "gunicorn-preload"},
}
"""The servers by name."""

APPS = {"a": "an adapter", "r": "a Router", "d": "Django", "t": "two adapters"}
"""The apps behind bridge, by the letter that chooses them (:mod:`tests.apps.fuzzed`)."""

NATIVE = "n"
SLOW = {("daphne", "e"): "l"}
"""A mode in place of one that takes long: daphne looks for failed apps once a second."""
SLOW_PAYLOADS = {"daphne": 10}
"""For the same reason, only one in ten is sent."""
QUIET_S = 0.25
CONFIRMED_S = 1.0
DEADLINE_S = 15.0
PAYLOAD_S = 5.0
"""daphne answers 500 a second later."""
ORDINARY = FuzzedRequest(0, b"GET / HTTP/1.1", (b"Host: h\r\n",))
REDUCING_S = 15.0
"""How long a failing request is made smaller."""


@dataclass(frozen=True)
class Failure:
    """A request for which the relation does not hold, twice in a row."""

    server: str
    through: str
    request: FuzzedRequest
    found: tuple[str, ...]
    log: str = ""

    def __str__(self) -> str:
        facts = "\n".join(f"  - {each}" for each in self.found)
        app = APPS.get(self.through, self.through)
        return (
            f"{self.server}, {app}, seed {self.request.seed}:\n{facts}\n"
            f"  {self.request.raw(self.through)[:2000]!r}\n"
            f"  repeat: python -m tests.fuzz --server {self.server} --seed {self.request.seed}"
        )


@dataclass
class Outcome:
    """What was run on a server.

    :ivar what: ``seeds`` or ``payloads``.
    :ivar wanted: how many of them were to be run, and ``runs`` how many were.
    :ivar unconfirmed: differences that were not there the second time.
    """

    server: str
    what: str
    wanted: int
    runs: int = 0
    failures: list[Failure] = field(default_factory=list)
    unconfirmed: int = 0


@contextmanager
def observing(name: str) -> Iterator[Observer]:
    """Run the apps on a server."""
    spec = FUZZED[name]
    with tempfile.TemporaryDirectory(prefix="bridge-fuzz-") as folder:
        reports = Path(folder, "reports")
        env = {"BRIDGE_FUZZ_REPORTS": str(reports)}
        target = f"tests.apps.fuzzed:{spec.kind}_app"
        with serve(spec, target, env=env, ready_path="/ready") as server:
            try:
                yield Observer(server, reports)
            finally:
                server.kill()  # how servers shut down is tested elsewhere


def fuzz(
    name: str, seeds: Sequence[int], *, until: float = float("inf"), most_failures: int = 10
) -> Outcome:
    """Run seeds on a server, and at the end an ordinary request to each app.

    :param until: when to stop, by ``time.monotonic()``.
    :param most_failures: stop after so many.
    """
    outcome = Outcome(name, "seeds", len(seeds))
    with observing(name) as observer:
        for seed in seeds:
            if time.monotonic() > until or len(outcome.failures) >= most_failures:
                break
            request = request_of(seed)
            mode = SLOW.get((name, request.mode), request.mode)
            request = replace(request, mode=mode)
            try:
                _run_seed(observer, request, outcome)
            except ConnectionError as error:
                status = observer.server.process.poll()
                found = (f"the server accepts no connection (exit status {status}): {error}",)
                log = observer.server.log()[-3000:]
                outcome.failures.append(Failure(name, "?", request, found, log))
                return outcome
            outcome.runs += 1
        for through in (NATIVE, *APPS):
            answer = observer.observe(ORDINARY, through, quiet_s=DEADLINE_S).answer
            if set(answer.statuses) != {200}:
                found = (f"at the end, an ordinary request got {answer.statuses}",)
                outcome.failures.append(Failure(name, through, ORDINARY, found))
    return outcome


def split(name: str, numbers: Sequence[int], *, until: float = float("inf")) -> Outcome:
    """Run payloads that could split a response on a server."""
    chosen = numbers[:: SLOW_PAYLOADS.get(name, 1)]
    outcome = Outcome(name, "payloads", len(chosen))
    with observing(name) as observer:
        for number in chosen:
            if time.monotonic() > until:
                break
            for through in THROUGH:
                found = tuple(splitting_differences(observer, number, through, PAYLOAD_S))
                if found:
                    request = payload_request(number, observer.server.spec.kind)
                    outcome.failures.append(Failure(name, through, request, found))
            outcome.runs += 1
    return outcome


def _run_seed(observer: Observer, request: FuzzedRequest, outcome: Outcome) -> None:
    native = observer.observe(request, NATIVE, quiet_s=QUIET_S)
    for through in APPS:
        bridged = observer.observe(request, through, quiet_s=QUIET_S)
        if not _found(observer, native, bridged, request, through):
            continue
        again = _compare(observer, request, through)
        if again is None:
            outcome.unconfirmed += 1
        else:
            outcome.failures.append(_reduced(observer, again))


def _compare(observer: Observer, request: FuzzedRequest, through: str) -> Failure | None:
    """Send a request again, to both apps, with more patience."""
    native = observer.observe(request, NATIVE, 1, CONFIRMED_S)
    bridged = observer.observe(request, through, 1, CONFIRMED_S)
    found = _found(observer, native, bridged, request, through)
    if not found:
        return None
    return Failure(observer.server.spec.name, through, request, found, bridged.log[-3000:])


def _found(
    observer: Observer, native: Observed, bridged: Observed, request: FuzzedRequest, through: str
) -> tuple[str, ...]:
    spec = observer.server.spec
    return tuple(
        each
        for each in differences(native, bridged, spec.kind, through)
        if not is_known(Case(each, spec.name, through, request, native, bridged))
    )


def _reduced(observer: Observer, failure: Failure) -> Failure:
    """The same failure with as little of the request as possible."""
    until = time.monotonic() + REDUCING_S
    candidates = failure.request.smaller()
    while time.monotonic() < until and (smaller := next(candidates, None)) is not None:
        again = _compare(observer, smaller, failure.through)
        if again is not None:
            failure = again
            candidates = again.request.smaller()
    return failure
