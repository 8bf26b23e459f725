"""The recommended move: stay, bridge or native."""

from __future__ import annotations

import pytest

from bridge.migrate.advice import Advice, advise
from bridge.migrate.facts import Facts, MiddlewareFact, ViewFact
from tests.migrate.helpers import project_of

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'


def advice_for(text: str, path: str = "shop/code.py", facts: Facts | None = None) -> Advice:
    settings = 'INSTALLED_APPS = ["channels"]\n'
    with project_of(
        {"manage.py": MANAGE, "shop/settings.py": settings, path: text}, facts=facts
    ) as project:
        return advise(project)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("async def live(request): ...\n", "shop/code.py:1 live"),
        ("class V:\n    async def get(self, request): ...\n", "shop/code.py:2 get"),
        ("@app.get('/')\nasync def live(): ...\n", "shop/code.py:2 live"),
        ("class Chat(AsyncConsumer): ...\n", "shop/code.py:1 Chat"),
        ("from flask_sock import Sock\n", "shop/code.py WebSockets of flask_sock"),
        ('ASGI_APPLICATION = "shop.asgi.app"\n', "ASGI_APPLICATION shop.asgi.app"),
    ],
)
def test_async_code_moves_through_bridge(text: str, place: str) -> None:
    if "ASGI" in text:
        text = f'INSTALLED_APPS = ["channels"]\n{text}'
    path = "shop/settings.py" if "ASGI" in text else "shop/code.py"

    found = advice_for(text, path)

    assert found.move == "bridge"
    assert len(found.places) == 1
    assert found.places[0] == place


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("def live(request): ...\n", "shop/code.py"),
        ("async def helper(value): ...\n", "shop/code.py"),
        ("async def test_live(request): ...\n", "shop/tests/test_live.py"),
    ],
)
def test_a_project_without_async_code_stays(text: str, path: str) -> None:
    assert advice_for(text, path).move == "stay"


VIEW = ViewFact("", "shop.code.live", is_async=True)
NATIVE = MiddlewareFact("a.B", async_capable=True, hooks=("process_view",))


@pytest.mark.parametrize(
    ("facts", "move"),
    [
        (Facts(views=(VIEW,)), "native"),
        (Facts(views=(VIEW,), middleware=(NATIVE,)), "bridge"),
        (Facts(views=(VIEW,), middleware=(MiddlewareFact("a.B"),)), "bridge"),
        (Facts(views=(VIEW,), middleware=(MiddlewareFact("a.B", is_used=False),)), "native"),
        (Facts(views=(VIEW, ViewFact("x", "y.z"))), "bridge"),
        (None, "bridge"),
    ],
)
def test_native_is_for_projects_that_are_async_throughout(facts: Facts | None, move: str) -> None:
    assert advice_for("async def live(request): ...\n", facts=facts).move == move
