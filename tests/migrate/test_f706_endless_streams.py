"""F706: a view that streams without end."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, findings

CODE = "F706"
HEAD = "from flask import Response, stream_with_context\n\n\n"
VIEW = (
    "def events():\n"
    "    def stream():\n"
    "        while True:\n"
    "            yield next_event()\n"
    "    return Response({})\n"
)


@pytest.mark.parametrize("content", ["stream()", "stream_with_context(stream())"])
def test_an_endless_generator_is_found(content: str) -> None:
    [found] = findings({"shop/code.py": HEAD + VIEW.format(content)}, CODE)

    assert found.line == 8
    assert "events holds a worker thread as long as its client stays connected" in found.message
    assert "the sync generator stream()" in found.message


@pytest.mark.parametrize(
    "text",
    [
        VIEW.format("stream()").replace("next_event()", "1\n            break"),
        VIEW.format("stream()").replace("while True", "while more()"),
        VIEW.format("'text'"),
        "def worker():\n    while True:\n        yield job()\n",
    ],
)
def test_generators_that_end_or_are_not_streamed_are_ignored(text: str) -> None:
    check_noop(CODE, HEAD + text)


def test_a_comment_suppresses_it() -> None:
    text = VIEW.format("stream()").rstrip() + "  # bridge: ignore[F706] two clients\n"
    check_noop(CODE, HEAD + text)
