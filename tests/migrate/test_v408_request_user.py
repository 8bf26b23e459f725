"""V408: request.user in an async view."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.migrate.facts import Facts, MiddlewareFact
from bridge.migrate.findings import Severity
from bridge.migrate.introspect import introspect
from bridge.migrate.project import open_project
from tests.migrate.helpers import check_noop, check_transformed, findings

AUTH = "django.contrib.auth.middleware"
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


def test_it_is_awaited_where_it_is_assigned() -> None:
    check_transformed(
        "V408",
        view("user = request.user", "return user.name"),
        view("user = await request.auser()", "return user.name"),
    )


def test_the_request_of_a_view_class_is_found() -> None:
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
def test_code_that_does_not_evaluate_it_is_ignored(line: str) -> None:
    check_noop("V408", view(line))


def test_sync_views_and_inner_functions_are_ignored() -> None:
    check_noop("V408", HEAD + "def view(request):\n    return request.user.name\n")
    check_noop("V408", view("def load():", "    return request.user.name", "await run(load)"))


def test_other_frameworks_are_ignored() -> None:
    code = view("return request.user.name")
    for line in ("from adrf.views import APIView\n", "from ninja import NinjaAPI\n"):
        check_noop("V408", line + code)
    check_noop(
        "V408",
        HEAD + "class C(Controller):\n    async def get(self):\n        self.request.user.name\n",
    )
    check_noop("V408", "async def view(request):\n    return request.user.name\n")


CODE = view("return request.user.name")


def test_a_project_that_sets_the_user_is_ignored() -> None:
    sets = {"shop/middleware.py": "def f(request):\n    request.user = load(request)\n"}

    check_noop("V408", CODE, files=sets)


@pytest.mark.parametrize("name", ["request", "req"])
def test_no_fix_where_the_project_sets_the_user(name: str) -> None:
    lazy = {
        "shop/middleware.py": f"def f({name}):\n    {name}.user = SimpleLazyObject(load)\n",
    }
    [found] = findings({**lazy, "shop/code.py": CODE}, "V408")

    assert (found.native, found.bridge, found.fix) == (Severity.WARNING, Severity.WARNING, None)
    assert "shop/middleware.py" in found.message


def site(*middleware: str) -> dict[str, str]:
    return {
        "manage.py": "setdefault('DJANGO_SETTINGS_MODULE', 'config.settings')\n",
        "config/settings.py": f"MIDDLEWARE = {list(middleware)}\n",
    }


def test_no_fix_where_a_package_sets_the_user() -> None:
    facts = Facts(middleware=(MiddlewareFact("tokens.Middleware", sets_user=True),))
    [found] = findings({**site("tokens.Middleware"), "shop/code.py": CODE}, "V408", facts=facts)

    assert found.fix is None
    assert "tokens.Middleware" in found.message


@pytest.mark.parametrize(
    ("middleware", "is_safe"),
    [(f"{AUTH}.AuthenticationMiddleware", True), ("tokens.Middleware", False)],
)
def test_the_fix_is_unsafe_with_unknown_middleware(middleware: str, is_safe: bool) -> None:
    [found] = findings({**site(middleware), "shop/code.py": CODE}, "V408")

    assert found.fix is not None
    assert found.fix.safe is is_safe


def test_introspection_finds_middleware_that_sets_the_user(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    names = ["tokens.Token", "tokens.reader"]
    files = {f"project/{name}": text for name, text in site(*names).items()}
    files["project/config/settings.py"] += f"import sys\nsys.path.append({str(packages)!r})\n"
    files["packages/tokens.py"] = (
        "class Base:\n    def __init__(self, get_response):\n        pass\n\n"
        "    def __call__(self, request):\n        request.user = load(request)\n\n\n"
        "class Token(Base):\n    pass\n\n\n"
        "def reader(get_response):\n    return lambda request: request.user == 1\n"
    )
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    facts = introspect(open_project(tmp_path / "project"))

    assert [(each.path, each.sets_user) for each in facts.middleware] == [
        ("tokens.Token", True),
        ("tokens.reader", False),
    ]


EXEMPT = CODE.replace("async def", "@login_not_required\nasync def")
ROUTED = {"shop/urls.py": "urlpatterns = [path('', login_not_required(view))]\n"}


@pytest.mark.parametrize(
    ("code", "more", "number"), [(CODE, {}, 0), (EXEMPT, {}, 1), (CODE, ROUTED, 1)]
)
def test_behind_login_required_only_exempt_views_are_found(
    code: str, more: dict[str, str], number: int
) -> None:
    files = {**site(f"{AUTH}.LoginRequiredMiddleware"), **more, "shop/code.py": code}

    assert len(findings(files, "V408")) == number


def test_a_subclass_of_login_required_counts() -> None:
    middleware = f"import {AUTH} as auth\n\n\nclass Door(auth.LoginRequiredMiddleware):\n    pass\n"
    files = {**site("shop.door.Door"), "shop/door.py": middleware, "shop/code.py": CODE}

    assert findings(files, "V408") == []


def test_an_older_django_has_no_auser() -> None:
    found = findings(
        {"shop/code.py": view("return request.user.name")}, "V408", facts=Facts(django="4.2.1")
    )

    assert [each.fix for each in found] == [None]
    assert "5.0" in found[0].help


def test_no_fix_in_a_comprehension() -> None:
    code = view("return [x for x in orders if x.owner == request.user]")

    assert [each.fix for each in findings({"shop/code.py": code}, "V408")] == [None]
