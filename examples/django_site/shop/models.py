"""The models: products, notices, and orders with their lines."""

from __future__ import annotations

import uuid
from decimal import Decimal
from functools import cache

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Sum
from django.urls import reverse


class Product(models.Model):
    """An article. ``slug`` also names its drawing in ``static/shop/art``, if there is one."""

    class Category(models.TextChoices):
        """The categories of the catalogue."""

        DECK = "deck", "On deck"
        NAVIGATION = "navigation", "Navigation"
        GALLEY = "galley", "Galley"

    name = models.CharField(max_length=80)
    slug = models.SlugField(unique=True)
    category = models.CharField(max_length=20, choices=Category.choices)
    summary = models.CharField(max_length=120)
    description = models.TextField()
    price = models.DecimalField(
        max_digits=7, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    stock = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The product's page."""
        return reverse("shop:product", args=[self.slug])

    @property
    def picture(self) -> str:
        """The path of the picture in the static files."""
        return _picture(self.slug)


@cache
def _picture(slug: str) -> str:
    """The drawing of the product, or else of a parcel."""
    drawing = f"shop/art/{slug}.svg"
    return drawing if finders.find(drawing) else "shop/art/parcel.svg"


class Notice(models.Model):
    """A notice on the board at the quay."""

    author = models.CharField("your name", max_length=40)
    text = models.CharField("your notice", max_length=200)
    posted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.author}: {self.text}"


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders with their totals."""

    def with_totals(self) -> OrderQuerySet:
        """Annotate each order with ``items`` (a count) and ``sum`` (money), in the same query.

        The explicit order is needed: Django ignores ``Meta.ordering`` in queries that group.
        """
        return self.annotate(
            items=Sum("lines__quantity"),
            sum=Sum(F("lines__quantity") * F("lines__unit_price")),
        ).order_by(*self.model._meta.ordering)


class Order(models.Model):
    """An order. ``number`` cannot be guessed, so it is enough to view the order."""

    class Status(models.TextChoices):
        """The processing state."""

        PLACED = "placed", "Placed"
        PACKED = "packed", "Packed"
        SHIPPED = "shipped", "On its way"

    class Delivery(models.TextChoices):
        """The delivery options."""

        COLLECT = "collect", "I collect it at the quay"
        POST = "post", "Send it by post boat"

    number = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="orders",
    )
    name = models.CharField("your name", max_length=80)
    email = models.EmailField("e-mail")
    delivery = models.CharField(max_length=10, choices=Delivery.choices, default=Delivery.COLLECT)
    address = models.TextField(
        blank=True, max_length=300, help_text="Required for delivery by post boat."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)
    placed_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-placed_at", "-pk")

    def __str__(self) -> str:
        return f"Order {self.short_number}"

    def get_absolute_url(self) -> str:
        """The order's page."""
        return reverse("shop:order", args=[self.number])

    @property
    def short_number(self) -> str:
        """A prefix of the number, long enough to identify an order."""
        return self.number.hex[:8].upper()


class OrderLine(models.Model):
    """A quantity of one product, at its price when it was ordered."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="order_lines")
    unit_price = models.DecimalField(max_digits=7, decimal_places=2)
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"

    @property
    def total(self) -> Decimal:
        """The price of the line."""
        return self.unit_price * self.quantity
