"""The basket: product ids and quantities in the session, nothing in the database."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest

from shop.models import Product

KEY = "basket"


@dataclass(frozen=True)
class BasketLine:
    """A quantity of one product, at its current price."""

    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        """The price of the line."""
        return self.product.price * self.quantity


class Basket:
    """The basket of the session of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._session = request.session
        self._quantities: dict[str, int] = dict(request.session.get(KEY, {}))

    def __len__(self) -> int:
        """The number of items in the basket."""
        return sum(self._quantities.values())

    def quantity_of(self, product: Product) -> int:
        """The quantity of ``product`` in the basket."""
        return self._quantities.get(str(product.pk), 0)

    def put(self, product: Product, quantity: int) -> None:
        """Set the quantity of ``product``; 0 removes it."""
        self._quantities.pop(str(product.pk), None)
        if quantity:
            self._quantities[str(product.pk)] = quantity
        self._session[KEY] = self._quantities

    def empty(self) -> None:
        """Remove everything."""
        self._quantities = {}
        self._session.pop(KEY, None)

    def lines(self) -> list[BasketLine]:
        """The lines of the basket, in one query, without products that no longer exist."""
        products = Product.objects.in_bulk([int(pk) for pk in self._quantities])
        return [
            BasketLine(products[int(pk)], quantity)
            for pk, quantity in self._quantities.items()
            if int(pk) in products
        ]
