"""``manage.py seed``: goods on the shelves, two accounts, and a season's orders.

It can be run again at any time: what is there already stays as it is.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from shop.models import Notice, Order, OrderLine, Product
from shop.seed_data import CUSTOMERS, NOTICES, PRODUCTS

ACCOUNTS = {"admin": True, "ada": False}  # name, which is the password too: is staff?
DEFAULT_ORDERS = 600


class Command(BaseCommand):
    """Fill an empty shop."""

    help = (
        "Fill the shop with products, orders, and the accounts admin/admin and ada/ada. "
        "For a demo only: the passwords are as easy as they look."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One option."""
        parser.add_argument(
            "--orders",
            type=int,
            default=DEFAULT_ORDERS,
            help=f"how many orders to make if there are none yet (default: {DEFAULT_ORDERS})",
        )

    @transaction.atomic
    def handle(self, *args: Any, orders: int, **options: Any) -> None:
        """Make what is missing and say what was made."""
        for product in PRODUCTS:
            Product.objects.get_or_create(slug=product["slug"], defaults=product)
        for name, is_staff in ACCOUNTS.items():
            _make_account(name, is_staff)
        if not Notice.objects.exists():
            Notice.objects.bulk_create(Notice(**notice) for notice in NOTICES)
        if not Order.objects.exists():
            _make_orders(orders)
        self.stdout.write(
            f"{Product.objects.count()} products, {Order.objects.count()} orders, "
            f"accounts: {', '.join(ACCOUNTS)} (each with its name as password)"
        )


def _make_account(name: str, is_staff: bool) -> None:
    users = get_user_model().objects
    if users.filter(username=name).exists():
        return
    make = users.create_superuser if is_staff else users.create_user
    make(name, f"{name}@harbour.example", name)


def _make_orders(number: int) -> None:
    """The same orders each time but for their numbers, spread over the last half year."""
    dice = random.Random(1852)
    products = list(Product.objects.order_by("pk"))
    ada = get_user_model().objects.get(username="ada")
    orders = Order.objects.bulk_create(_order(dice, ada) for _ in range(number))
    for order in orders:  # auto_now_add wrote the present time
        order.placed_at = timezone.now() - timedelta(minutes=dice.randrange(60, 260_000))
    Order.objects.bulk_update(orders, ["placed_at"], batch_size=300)
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=item, unit_price=item.price, quantity=dice.randint(1, 3))
        for order in orders
        for item in dice.sample(products, dice.randint(1, 3))
    )


def _order(dice: random.Random, ada: Any) -> Order:
    name = dice.choice(CUSTOMERS)
    by_post = dice.random() < 0.4
    return Order(
        customer=ada if name == "Ada Lovelace" else None,
        name=name,
        email=f"{name.split()[0].lower()}@harbour.example",
        delivery=Order.Delivery.POST if by_post else Order.Delivery.COLLECT,
        address="Lighthouse Lane 3" if by_post else "",
        status=dice.choice(Order.Status.values),
    )
