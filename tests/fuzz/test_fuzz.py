"""A short run of the fuzzer on every server. ``nox -s fuzz`` is the long one."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.payloads import PAYLOADS
from tests.fuzz.requests import request_of
from tests.fuzz.running import FUZZED, fuzz, split

SEEDS = range(90, 130)
"""Among them are two Hosts, doubled slashes and names with underscores."""
SPLITTING = Random(0).sample(range(len(PAYLOADS)), 12)


@pytest.mark.parametrize("name", FUZZED)
def test_apps_behind_bridge_see_and_answer_what_native_apps_do(name: str) -> None:
    failures = fuzz(name, SEEDS, most_failures=3).failures

    assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.parametrize("name", FUZZED)
def test_no_response_is_split(name: str) -> None:
    failures = split(name, SPLITTING).failures

    assert not failures, "\n\n".join(map(str, failures))


def test_a_seed_gives_the_same_request_each_time() -> None:
    again = [request_of(seed).raw("n") for seed in range(200)]

    assert [request_of(seed).raw("n") for seed in range(200)] == again
    assert len(set(again)) == 200
