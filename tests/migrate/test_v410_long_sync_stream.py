"""V410: an endless sync stream."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts, ViewFact
from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import DJANGO

HEAD = "import itertools\nfrom django.http import StreamingHttpResponse\n\n\n"
VIEW = "\n\ndef view(request):\n    return StreamingHttpResponse(events())"


@pytest.mark.parametrize(
    "loop", ["while True", "while 1", "for n in itertools.count()", "for m in pubsub.listen()"]
)
def test_an_endless_loop_is_found_for_bridge(loop: str) -> None:
    code = HEAD + f"def events():\n    {loop}:\n        yield 'data: x'\n" + VIEW + "\n"

    assert len(findings({"shop/code.py": code}, "V410", target="bridge")) == 1
    check_noop("V410", code)


@pytest.mark.parametrize(
    "loop", ["while more()", "for n in range(9)", "for n in itertools.chain(a, b)"]
)
def test_a_loop_that_ends_is_ignored(loop: str) -> None:
    code = HEAD + f"def events():\n    {loop}:\n        yield 'data: x'\n" + VIEW + "\n"
    check_noop("V410", code, target="bridge")


def test_events_that_end_are_a_warning() -> None:
    view = VIEW.replace("events()", "events(), content_type='text/event-stream; charset=utf-8'")
    code = HEAD + "def events():\n    for n in words():\n        yield n\n" + view + "\n"
    found = findings({"shop/code.py": code}, "V410", target="bridge")

    assert [(each.native, each.bridge) for each in found] == [(None, Severity.WARNING)]


def test_an_async_generator_is_ignored() -> None:
    code = HEAD + "async def events():\n    while True:\n        yield 'x'\n" + VIEW + "\n"
    check_noop("V410", code, target="bridge")


def test_a_comment_suppresses_it() -> None:
    code = HEAD + "def events():\n    while True:\n        yield 'x'\n" + VIEW
    check_noop("V410", code + "  # bridge: ignore[V410] one client\n", target="bridge")


def test_a_view_that_no_url_leads_to_is_ignored() -> None:
    """As with ``if settings.DEBUG``: it would raise the number of threads for nothing."""
    live = (
        "from django.http import StreamingHttpResponse\n\n\ndef events(request):\n"
        "    return StreamingHttpResponse(feed(), content_type='text/event-stream')\n"
    )
    urls = "from shop import live\nif DEBUG:\n    urlpatterns = [path('live/', live.events)]\n"
    files = {**DJANGO, "shop/live.py": live, "shop/urls.py": urls}
    other = Facts(views=(ViewFact("a/", "shop.views.other", file="/elsewhere/views.py"),))
    routed = Facts(views=(ViewFact("live/", "shop.live.events"),))

    assert findings(files, "V410", target="bridge", facts=other) == []
    assert len(findings(files, "V410", target="bridge", facts=routed)) == 1
    assert len(findings(files, "V410", target="bridge")) == 1
