"""Placing an order, and writing all of them out as CSV."""

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
    """Somebody else was faster. ``product`` has fewer left than were asked for."""

    def __init__(self, product: Product) -> None:
        super().__init__(f"There are not enough of {product.name} left.")
        self.product = product


@transaction.atomic
def place(order: Order, lines: Iterable[BasketLine]) -> Order:
    """Take the goods from the shelf and save the order: all of it, or nothing.

    The shelf comes first and by condition, so two customers cannot buy the same last piece.
    Products are taken in the order of their numbers, so two orders cannot wait for each other.

    :raises OutOfStock: one product has not enough left.
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
    live.tell_stock([line.product for line in lines])
    return order


class _Echo:
    """What ``csv.writer`` writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines() -> Iterator[str]:
    """All orders, newest first, a line at a time; 500 orders at most are in memory."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for order in Order.objects.with_totals().iterator(chunk_size=ORDERS_PER_FETCH):
        yield writer.writerow(_cell(getattr(order, column)) for column in COLUMNS)


def _cell(value: object) -> object:
    """Money with its cents (SQLite drops them), and text that no spreadsheet runs as a formula."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
