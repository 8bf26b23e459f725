"""``manage.py seed``: creates products, two accounts, notices and sample orders.

It can be run again at any time: existing data does not change.
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

ACCOUNTS = {"admin": True, "ada": False}  # name (also the password): is staff
DEFAULT_ORDERS = 600


class Command(BaseCommand):
    """Create the sample data."""

    help = (
        "Fill the shop with products, orders, and the accounts admin/admin and ada/ada. "
        "For demos only: the passwords are not secret."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option ``--orders``."""
        parser.add_argument(
            "--orders",
            type=int,
            default=DEFAULT_ORDERS,
            help=f"number of orders to create if there are none yet (default: {DEFAULT_ORDERS})",
        )

    @transaction.atomic
    def handle(self, *args: Any, orders: int, **options: Any) -> None:
        """Create missing data and print a summary."""
        for product in PRODUCTS:
            Product.objects.get_or_create(slug=product["slug"], defaults=product)
        for name, is_staff in ACCOUNTS.items():
            _create_account(name, is_staff)
        if not Notice.objects.exists():
            Notice.objects.bulk_create(Notice(**notice) for notice in NOTICES)
        if not Order.objects.exists():
            _create_orders(orders)
        self.stdout.write(
            f"{Product.objects.count()} products, {Order.objects.count()} orders, "
            f"accounts: {', '.join(ACCOUNTS)} (the password is the name)"
        )


def _create_account(name: str, is_staff: bool) -> None:
    users = get_user_model().objects
    if users.filter(username=name).exists():
        return
    create = users.create_superuser if is_staff else users.create_user
    create(name, f"{name}@harbour.example", name)


def _create_orders(number: int) -> None:
    """Create orders over the last half year; apart from their numbers always the same."""
    rng = random.Random(1852)
    products = list(Product.objects.order_by("pk"))
    ada = get_user_model().objects.get(username="ada")
    orders = Order.objects.bulk_create(_order(rng, ada) for _ in range(number))
    for order in orders:  # auto_now_add has set the current time
        order.placed_at = timezone.now() - timedelta(minutes=rng.randrange(60, 260_000))
    Order.objects.bulk_update(orders, ["placed_at"], batch_size=300)
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=item, unit_price=item.price, quantity=rng.randint(1, 3))
        for order in orders
        for item in rng.sample(products, rng.randint(1, 3))
    )


def _order(rng: random.Random, ada: Any) -> Order:
    name = rng.choice(CUSTOMERS)
    by_post = rng.random() < 0.4
    return Order(
        customer=ada if name == "Ada Lovelace" else None,
        name=name,
        email=f"{name.split()[0].lower()}@harbour.example",
        delivery=Order.Delivery.POST if by_post else Order.Delivery.COLLECT,
        address="Lighthouse Lane 3" if by_post else "",
        status=rng.choice(Order.Status.values),
    )
