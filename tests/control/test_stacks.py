"""The answer to ``bridge stacks`` where much runs, and its text."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from bridge.cli.control.figures import picture_of
from bridge.cli.control.screen import print_once
from bridge.cli.control.traces import text_of
from bridge.control.client import Report
from bridge.control.protocol import LONGEST_ANSWER, encode
from bridge.control.recording import watch_asgi
from bridge.control.stacks import stacks
from bridge.types import Receive, Scope, Send
from tests.harness.asgi import http_scope

LONG_PATH = f"/{'a-folder-of-an-app/' * 20}views.py"
DEEP = """
async def down(n, ended):
    await (down(n - 1, ended) if n else ended.wait())
"""


async def _answer_while_many_wait(requests: int) -> dict[str, Any]:
    functions: dict[str, Any] = {}
    exec(compile(DEEP, LONG_PATH, "exec"), functions)
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await functions["down"](60, ended)

    async def unused(*arguments: object) -> Any:
        raise AssertionError("the app neither receives nor sends")

    watched = watch_asgi(app, list)
    tasks = [asyncio.ensure_future(watched(http_scope(), unused, unused)) for _ in range(requests)]
    await asyncio.sleep(0)
    answer = stacks(1, [])
    ended.set()
    await asyncio.gather(*tasks)
    return answer


def test_an_answer_is_never_longer_than_its_reader_accepts() -> None:
    answer = asyncio.run(_answer_while_many_wait(400))

    assert len(encode(answer)) < LONGEST_ANSWER
    assert len(answer["busy"]) > 50
    assert len(answer["busy"]) + answer["omitted"] == 400


@pytest.mark.parametrize(
    "number",
    [math.inf, -math.inf, math.nan, 10**400, True, "5"],
    ids=["inf", "-inf", "nan", "large", "bool", "text"],
)
def test_numbers_that_no_process_of_bridge_sends_are_left_out(number: object) -> None:
    row = {"kind": "http", "what": "/", "for_s": number, "waited_s": number}
    names = ("pid", "omitted", "up_s", "now", "websockets")
    answer = {**dict.fromkeys(names, number), "busy": [row], "blocked": [row], "work": [row]}
    answer["pools"] = [{"running": number, "most_threads": number}]
    answer["loops"] = [{"lag_p99_s": number}]

    text = text_of([Report(0, answer)])
    picture = picture_of([Report(0, answer)], [Report(0, answer)])
    print_once(picture)

    assert "for an unknown time" in text
    assert picture.omitted == 0
    assert picture.processes[0].busy is None


def test_requests_that_are_omitted_are_counted() -> None:
    answer = {"pid": 1, "busy": [{"kind": "http", "what": "/"}], "omitted": 100}

    text = text_of([Report(1, answer)])

    assert "process 1: 101 running" in text
    assert "100 more" in text
