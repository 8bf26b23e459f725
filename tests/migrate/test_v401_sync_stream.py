"""V401: a StreamingHttpResponse with a sync iterator."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings

HEAD = "from django.http import StreamingHttpResponse\n\n\n"
GENERATOR = "def rows():\n    for n in range(3):\n        yield str(n)\n\n\n"
VIEW = "def view(request):\n    return StreamingHttpResponse({})\n"


def severities(code: str) -> list[tuple[Severity | None, Severity | None]]:
    return [(each.native, each.bridge) for each in findings({"shop/code.py": code}, "V401")]


@pytest.mark.parametrize(
    "content",
    [
        "rows()",
        "map(str, range(3))",
        "(str(n) for n in range(3))",
        "open(path, 'rb')",
        "streaming_content=rows()",
        "requests.get(url, stream=True).iter_content(8192)",
        "Order.objects.iterator()",
    ],
)
def test_a_sync_iterator_is_found(content: str) -> None:
    assert severities(HEAD + GENERATOR + VIEW.format(content)) == [
        (Severity.WARNING, Severity.INFO)
    ]


@pytest.mark.parametrize(
    "content",
    [
        "arows()",
        "something(request)",
        "chunks",
        "[b'a', b'b']",
        "iter(parts)",
        "(n async for n in arows())",
        "iterate_in_threads(rows())",
    ],
)
def test_async_and_unknown_iterators_are_ignored(content: str) -> None:
    check_noop("V401", HEAD + "async def arows():\n    yield 'a'\n\n\n" + VIEW.format(content))


def test_an_endless_iterator_is_an_error() -> None:
    endless = "def rows():\n    while True:\n        yield queue.get()\n\n\n"

    assert severities(HEAD + endless + VIEW.format("rows()")) == [(Severity.ERROR, Severity.INFO)]


def test_a_loop_with_break_or_return_ends() -> None:
    loop = "def rows():\n    while True:\n        part = read()\n        if not part:\n"
    for leave in ("break", "return"):
        code = HEAD + loop + f"            {leave}\n        yield part\n\n\n"
        assert severities(code + VIEW.format("rows()")) == [(Severity.WARNING, Severity.INFO)]


def test_a_break_of_an_inner_loop_does_not_count() -> None:
    loop = (
        "def rows():\n    while True:\n        for part in read():\n            break\n"
        "        yield part\n\n\n"
    )

    assert severities(HEAD + loop + VIEW.format("rows()")) == [(Severity.ERROR, Severity.INFO)]


def test_local_methods_and_imported_generators_are_found() -> None:
    local = HEAD + (
        "def view(request):\n    def rows():\n        yield 'a'\n\n"
        "    stream = rows()\n    return StreamingHttpResponse(stream)\n"
    )
    method = HEAD + (
        "class Export:\n    def rows(self):\n        yield 'a'\n\n"
        "    def get(self, request):\n        return StreamingHttpResponse(self.rows())\n"
    )
    assert len(severities(local)) == len(severities(method)) == 1
    imported = findings(
        {
            "shop/rows.py": GENERATOR,
            "shop/code.py": HEAD + "from shop.rows import rows\n\n\n" + VIEW.format("rows()"),
        },
        "V401",
    )
    assert [each.line for each in imported] == [8]


def test_a_name_that_is_assigned_twice_is_ignored() -> None:
    check_noop(
        "V401",
        HEAD + GENERATOR + "def view(request):\n    stream = rows()\n    stream = other(stream)\n"
        "    return StreamingHttpResponse(stream)\n",
    )


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "V401",
        HEAD + GENERATOR + "def view(request):\n"
        "    return StreamingHttpResponse(rows())  # bridge: ignore[V401] three rows\n",
    )
