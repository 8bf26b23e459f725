"""V407: sync ORM calls in async code."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, check_transformed, findings

HEAD = (
    "from django.db import connection, transaction\n"
    "from django.shortcuts import aget_object_or_404, get_object_or_404\n\n\n"
)
MODELS = {
    "shop/models.py": "from django.db import models\n\n\nclass Order(models.Model):\n    pass\n"
}


def coroutine(*lines: str) -> str:
    return HEAD + "async def view(request):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return Order.objects.get(pk=1)", "return await Order.objects.aget(pk=1)"),
        ("Order.objects.filter(a=1).update(a=2)", "await Order.objects.filter(a=1).aupdate(a=2)"),
        ("n = Order.objects.count() + 1", "n = (await Order.objects.acount()) + 1"),
        ("n = Order.objects.first().name", "n = (await Order.objects.afirst()).name"),
        ("if Order.objects.exists():", "if await Order.objects.aexists():"),
        ("x = list(Order.objects.all())", "x = [each async for each in Order.objects.all()]"),
        ("for x in Order.objects.all():", "async for x in Order.objects.all():"),
        ("for x in Order.objects.iterator():", "async for x in Order.objects.aiterator():"),
        ("a = [x for x in Order.objects.all()]", "a = [x async for x in Order.objects.all()]"),
        ("u = get_user_model().objects.get(pk=1)", "u = await get_user_model().objects.aget(pk=1)"),
        ("o = get_object_or_404(Order, pk=1)", "o = await aget_object_or_404(Order, pk=1)"),
    ],
)
def test_sync_calls_become_async_ones(before: str, after: str) -> None:
    rest = "    pass" if before.endswith(":") else ""
    check_transformed("V407", coroutine(before, rest), coroutine(after, rest), safe=False)


def test_names_are_followed() -> None:
    check_transformed(
        "V407",
        coroutine(
            "orders = Order.objects.all()",
            "orders = orders.filter(open=True)",
            "for each in orders:",
            "    pass",
            "order = await Order.objects.aget(pk=1)",
            "order.save()",
            "new = await aget_object_or_404(Order, pk=2)",
            "new.lines.filter(open=True).delete()",
        ),
        coroutine(
            "orders = Order.objects.all()",
            "orders = orders.filter(open=True)",
            "async for each in orders:",
            "    pass",
            "order = await Order.objects.aget(pk=1)",
            "await order.asave()",
            "new = await aget_object_or_404(Order, pk=2)",
            "await new.lines.filter(open=True).adelete()",
        ),
        safe=False,
    )


def test_models_of_the_project_are_known() -> None:
    check_transformed(
        "V407",
        "from shop.models import Order\n\n\nasync def f():\n    o = Order(a=1)\n    o.save()\n",
        "from shop.models import Order\n\n\nasync def f():\n    o = Order(a=1)\n"
        "    await o.asave()\n",
        files=MODELS,
        safe=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "n = len(Order.objects.all())",
        "x = Order.objects.all()[0]",
        "x = 1 if Order.objects.all() else 2",
        "x = not Order.objects.filter(a=1)",
        "x = order in Order.objects.all()",
        "x = ','.join(Order.objects.values_list('name', flat=True))",
        "x = any(o.open for o in Order.objects.all())",
        "x = [Order.objects.get(pk=n) for n in numbers]",
        "x = connection.cursor()",
        "x = await render(Order.objects.get(pk=1))",
    ],
)
def test_calls_without_a_fix_are_found(line: str) -> None:
    assert len(findings({"shop/code.py": coroutine(line)}, "V407")) == 1


def test_an_older_django_has_no_async_shortcuts() -> None:
    files = {
        "requirements.txt": "Django==4.2.11\n",
        "shop/code.py": coroutine("o = get_object_or_404(Order, pk=1)", "Order.objects.get(pk=2)"),
    }

    assert [each.fix is not None for each in findings(files, "V407")] == [False, True]


@pytest.mark.parametrize(
    "line",
    [
        "x = (Order.objects.get(pk=n) for n in numbers)",
        "x = (list(Order.objects.filter(pk=n)) for n in numbers)",
        "x = ([o for o in Order.objects.filter(pk=n)] for n in numbers)",
        "x = (o for o in Order.objects.all())",
    ],
)
def test_no_fix_in_a_generator_expression(line: str) -> None:
    """``await`` inside would make it an async generator."""
    found = findings({"shop/code.py": coroutine(line)}, "V407")

    assert [each.fix for each in found] == [None]


def test_transactions_are_found() -> None:
    code = coroutine("with transaction.atomic():", "    pass")
    code += "\n\n@transaction.atomic\nasync def f():\n    pass\n"
    code += "\n\n@transaction.atomic\ndef g():\n    pass\n"

    assert [each.line for each in findings({"shop/code.py": code}, "V407")] == [6, 10]


def test_login_has_an_async_form() -> None:
    head = "from django.contrib.auth import {}\n\n\nasync def view(request):\n"
    check_transformed(
        "V407",
        head.format("login") + "    login(request, user)\n",
        head.format("login").replace("\n\n\n", "\nfrom django.contrib.auth import alogin\n\n\n")
        + "    await alogin(request, user)\n",
        safe=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "orders = Order.objects.filter(open=True).order_by('name')[:10]",
        "order = await Order.objects.aget(pk=1)",
        "order = await Order.objects.get(pk=1)",
        "order = await sync_to_async(Order.objects.get)(pk=1)",
        "orders = await sync_to_async(list)(Order.objects.all())",
        "order = await sync_to_async(lambda: Order.objects.get(pk=1))()",
        "names = [order.name async for order in Order.objects.all()]",
        "await asyncio.gather(Order.objects.acount(), Order.objects.aexists())",
        "x = bucket.objects.filter(Prefix='a').first()",
        "x = self.objects.get('key')",
        "x = settings.get('key')",
        "x = Order.objects.published().get('name')",
        "if Order.objects.filter is not None: pass",
        "x = [each for each in Order.objects.none()]",
    ],
)
def test_async_forms_and_other_calls_are_ignored(line: str) -> None:
    check_noop("V407", coroutine(line))


def test_sync_functions_are_ignored() -> None:
    check_noop(
        "V407",
        coroutine("def load():", "    return list(Order.objects.all())", "", "x = await go(load)"),
    )
    check_noop("V407", HEAD + "def view(request):\n    return Order.objects.get(pk=1)\n")


def test_a_loaded_queryset_is_ignored() -> None:
    load = "orders = Order.objects.all()"
    check_noop("V407", coroutine(load, "await sync_to_async(len)(orders)", "len(orders)"))
    check_noop("V407", coroutine(load, "async for x in orders:", "    pass", "len(orders)"))


def test_a_relation_that_may_be_prefetched_is_ignored() -> None:
    check_noop(
        "V407",
        coroutine(
            "order = await Order.objects.prefetch_related('lines').aget(pk=1)",
            "for line in order.lines.all():",
            "    pass",
        ),
    )


def test_an_unknown_name_is_ignored() -> None:
    check_noop("V407", HEAD + "async def f(order, orders):\n    order.save()\n    len(orders)\n")
    check_noop("V407", coroutine("order, x = f()", "order.save()"))


def test_documents_of_other_libraries_are_ignored() -> None:
    check_noop(
        "V407",
        "import django\nfrom shop.models import Page\n\n\nasync def f():\n"
        "    Page.objects.get(a=1)\n",
        files={
            "shop/models.py": "from mongoengine import Document\n\n\n"
            "class Page(Document):\n    pass\n"
        },
    )


def test_models_of_another_framework_are_ignored() -> None:
    code = "from shop.models import Order\n\n\nasync def f():\n    Order.objects.get(pk=1)\n"

    check_noop(
        "V407", code, files={"shop/models.py": "import orm\n\n\nclass Order(orm.Model): ...\n"}
    )
    assert len(findings({**MODELS, "shop/code.py": code}, "V407")) == 1


def test_code_without_django_and_tests_are_ignored() -> None:
    check_noop("V407", "async def f():\n    return Order.objects.get(pk=1)\n")
    check_noop("V407", coroutine("Order.objects.get(pk=1)"), path="shop/tests/test_a.py")


def test_a_comment_suppresses_it() -> None:
    check_noop("V407", coroutine("Order.objects.get(pk=1)  # bridge: ignore[V407] cached"))
