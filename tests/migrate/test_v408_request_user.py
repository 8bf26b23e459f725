"""V408: request.user in an async view."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts
from tests.migrate.helpers import check_noop, check_transformed, findings

HEAD = "from django.http import HttpResponse\n\n\n"


def view(*lines: str) -> str:
    return HEAD + "async def view(request):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if request.user.is_staff:", "if (await request.auser()).is_staff:"),
        ("if not request.user:", "if not await request.auser():"),
        ("if request.user == order.owner:", "if await request.auser() == order.owner:"),
        ("if f'{request.user}':", "if f'{await request.auser()}':"),
        ("if str(request.user):", "if str(await request.auser()):"),
        (
            "for x in Order.objects.filter(user=request.user):",
            "for x in Order.objects.filter(user=await request.auser()):",
        ),
    ],
)
def test_it_is_awaited(before: str, after: str) -> None:
    check_transformed("V408", view(before, "    pass"), view(after, "    pass"))


def test_it_is_awaited_where_it_gets_a_name() -> None:
    check_transformed(
        "V408",
        view("user = request.user", "return user.name"),
        view("user = await request.auser()", "return user.name"),
    )


def test_view_classes_have_it_too() -> None:
    head = HEAD + "class V(View):\n    async def get(self, request):\n"
    check_transformed(
        "V408",
        head + "        return self.request.user.name\n",
        head + "        return (await self.request.auser()).name\n",
    )


@pytest.mark.parametrize(
    "line",
    [
        "return await render_later(request.user)",
        "order = await Order.objects.acreate(user=request.user)",
        "user = request.user",
        "name = await sync_to_async(lambda: request.user.name)()",
        "x = request.user is None",
        "x = request.user_agent.family",
        "x = event.user.name",
        "return (await request.auser()).name",
        "request.user.name  # bridge: ignore[V408] always loaded by our middleware",
    ],
)
def test_what_does_not_look_at_it_is_left_alone(line: str) -> None:
    check_noop("V408", view(line))


def test_sync_views_and_functions_inside_are_left_alone() -> None:
    check_noop("V408", HEAD + "def view(request):\n    return request.user.name\n")
    check_noop("V408", view("def load():", "    return request.user.name", "await run(load)"))


def test_other_frameworks_load_the_user_themselves() -> None:
    code = view("return request.user.name")
    for line in ("from adrf.views import APIView\n", "from ninja import NinjaAPI\n"):
        check_noop("V408", line + code)
    check_noop(
        "V408",
        HEAD + "class C(Controller):\n    async def get(self):\n        self.request.user.name\n",
    )
    check_noop("V408", "async def view(request):\n    return request.user.name\n")


def test_a_project_that_sets_the_user_is_left_alone() -> None:
    sets = {"shop/middleware.py": "def f(request):\n    request.user = load(request)\n"}
    lazy = {"shop/middleware.py": "def f(request):\n    request.user = SimpleLazyObject(load)\n"}
    code = view("return request.user.name")

    check_noop("V408", code, files=sets)
    assert len(findings({**lazy, "shop/code.py": code}, "V408")) == 1


def test_an_older_django_has_no_auser() -> None:
    found = findings(
        {"shop/code.py": view("return request.user.name")}, "V408", facts=Facts(django="4.2.1")
    )

    assert [each.fix for each in found] == [None]
    assert "5.0" in found[0].help


def test_a_comprehension_is_found_and_left_as_it_is() -> None:
    code = view("return [x for x in orders if x.owner == request.user]")

    assert [each.fix for each in findings({"shop/code.py": code}, "V408")] == [None]
