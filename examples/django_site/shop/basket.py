"""The basket: product numbers and quantities in the session, nothing in the database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest

from shop.models import Product

KEY = "basket"


@dataclass(frozen=True)
class BasketLine:
    """So many of one product, at today's price."""

    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        """Price of the line."""
        return self.product.price * self.quantity


class Basket:
    """The basket of the session of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._session = request.session
        self._quantities: dict[str, int] = dict(request.session.get(KEY, {}))

    def __len__(self) -> int:
        """How many pieces are in it."""
        return sum(self._quantities.values())

    def quantity_of(self, product: Product) -> int:
        """How many of ``product`` are in it."""
        return self._quantities.get(str(product.pk), 0)

    def put(self, product: Product, quantity: int) -> None:
        """Set how many of ``product`` are in it; 0 takes it out."""
        self._quantities.pop(str(product.pk), None)
        if quantity:
            self._quantities[str(product.pk)] = quantity
        self._session[KEY] = self._quantities

    def empty(self) -> None:
        """Take everything out."""
        self._quantities = {}
        self._session.pop(KEY, None)

    def lines(self) -> list[BasketLine]:
        """What is in it, in one query. Products that are gone from the shop are left out."""
        products = Product.objects.in_bulk([int(pk) for pk in self._quantities])
        return [
            BasketLine(products[int(pk)], quantity)
            for pk, quantity in self._quantities.items()
            if int(pk) in products
        ]
