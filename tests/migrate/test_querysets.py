"""Which expressions are querysets and model instances."""

from __future__ import annotations

import libcst as cst
import pytest

from bridge.migrate.querysets import Querysets
from tests.migrate.helpers import project_of

MODELS = "from django.db import models\n\n\nclass Order(models.Model): ...\n"


def returned_by(body: str) -> tuple[bool, bool]:
    """Whether the expression that a view returns is a queryset, or a model instance."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = f"from shop.models import Order\n\n\nasync def view(request, given):\n{lines}"
    with project_of({"shop/models.py": MODELS, "shop/views.py": code}) as project:
        module = project.module("shop.views")
        assert module is not None
        querysets = Querysets(module, project)
        value = module.nodes(cst.Return)[-1].value
        assert value is not None
        return querysets.is_queryset(value), querysets.is_instance(value)


QUERYSET, INSTANCE, NEITHER = (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return Order.objects", QUERYSET),
        ("return Order.objects.filter(pk=1).order_by('pk')[:5]", QUERYSET),
        ("orders = Order.objects.all()\nreturn orders", QUERYSET),
        ("orders = Order.objects.all()\norders = orders.filter(pk=1)\nreturn orders", QUERYSET),
        ("order = await Order.objects.aget(pk=1)\nreturn order.lines.all()", QUERYSET),
        ("order = await Order.objects.aget(pk=1)\nreturn order", INSTANCE),
        ("order = Order(pk=1)\nreturn order", INSTANCE),
        (
            "from django import shortcuts\n"
            "order = shortcuts.get_object_or_404(Order, pk=1)\nreturn order",
            INSTANCE,
        ),
        ("return given", NEITHER),
        ("return given.objects.all()", NEITHER),
        ("return Order.objects.count()", NEITHER),
        ("orders = Order.objects.all()\norders = given\nreturn orders", NEITHER),
        ("orders = Order.objects.all()\nasync for each in orders: ...\nreturn orders", NEITHER),
        ("orders = Order.objects.all()\nawait load(orders)\nreturn orders", NEITHER),
    ],
)
def test_querysets_and_instances_are_recognized(body: str, expected: tuple[bool, bool]) -> None:
    assert returned_by(body) == expected
