"""The options of ``bridge run`` as those of the adapters."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from bridge.cli.options import RunOptions, WsgiOptions
from bridge.config import ToAsgiOptions

LIMITS = {"queue_timeout_s": 30, "request_timeout_s": 60}


def test_the_defaults_are_those_of_the_adapter_with_time_limits() -> None:
    assert ToAsgiOptions(**RunOptions().wsgi.keywords) == ToAsgiOptions(**LIMITS)  # type: ignore[arg-type]  # several types


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        (RunOptions(wait_target_s=0.5), {"wait_target_s": 0.5}),
        (RunOptions(wait_target_s=0), {"wait_target_s": None}),
        (RunOptions(body_timeout_s=0), {"body_timeout_s": None}),
        (RunOptions(threads=3), {"threads": 3}),
        (RunOptions(queue_timeout_s=0, request_timeout_s=0), dict.fromkeys(LIMITS)),
        (RunOptions(request_timeout_s=0.5), {"request_timeout_s": 0.5}),
    ],
)
def test_what_is_given_replaces_them_also_in_another_process(
    given: RunOptions, keywords: dict[str, object]
) -> None:
    stored = json.loads(json.dumps(asdict(given.wsgi)))

    expected = {**LIMITS, **keywords}
    assert ToAsgiOptions(**WsgiOptions(**stored).keywords) == ToAsgiOptions(**expected)  # type: ignore[arg-type]  # several types
