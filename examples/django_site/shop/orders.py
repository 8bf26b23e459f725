"""Places orders, and exports all orders as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal

from django.db import transaction
from django.db.models import F

from shop import live
from shop.basket import BasketLine
from shop.models import Order, OrderLine, Product

COLUMNS = ("number", "placed_at", "name", "email", "delivery", "status", "items", "sum")
ORDERS_PER_FETCH = 500


class OutOfStock(Exception):
    """The stock of ``product`` is lower than the quantity ordered."""

    def __init__(self, product: Product) -> None:
        super().__init__(f"There is not enough of {product.name} in stock.")
        self.product = product


@transaction.atomic
def place(order: Order, lines: Iterable[BasketLine]) -> Order:
    """Reduce the stock and save the order, in one transaction.

    The stock is reduced first, with a condition, so two customers cannot buy the same last item.
    Products are updated in the order of their ids, so two orders cannot deadlock.

    :raises OutOfStock: the stock of a product is too low.
    """
    lines = sorted(lines, key=lambda line: line.product.pk)
    for line in lines:
        left = Product.objects.filter(pk=line.product.pk, stock__gte=line.quantity)
        if not left.update(stock=F("stock") - line.quantity):
            raise OutOfStock(line.product)
    order.save()
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            product=line.product,
            unit_price=line.product.price,
            quantity=line.quantity,
        )
        for line in lines
    )
    live.send_stock([line.product for line in lines])
    return order


class _Echo:
    """A file for ``csv.writer`` that returns each line."""

    def write(self, line: str) -> str:
        return line


def csv_lines() -> Iterator[str]:
    """Yield all orders as lines, newest first; at most 500 orders are in memory."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for order in Order.objects.with_totals().iterator(chunk_size=ORDERS_PER_FETCH):
        yield writer.writerow(_cell(getattr(order, column)) for column in COLUMNS)


def _cell(value: object) -> object:
    """Format money with cents (SQLite drops them), and escape text that looks like a formula."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
