"""The forms and their validation."""

from __future__ import annotations

from typing import Any

from django import forms

from shop.models import Notice, Order, Product


class SearchForm(forms.Form):
    """Filters of the catalogue. Invalid values are ignored."""

    q = forms.CharField(label="Search", required=False, max_length=80)
    category = forms.ChoiceField(
        label="Category", required=False, choices=[("", "All"), *Product.Category.choices]
    )


class QuantityForm(forms.Form):
    """The quantity of one product in the basket.

    :param product: its stock is the maximum.
    :param minimum: 1 to add a product, 0 where it can be removed.
    """

    quantity = forms.IntegerField(label="Quantity", initial=1)

    def __init__(self, *args: Any, product: Product, minimum: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["quantity"] = forms.IntegerField(
            label="Quantity",
            initial=1,
            min_value=minimum,
            max_value=product.stock,
            error_messages={
                "max_value": f"Only {product.stock} left in stock.",
                "min_value": f"The minimum is {minimum}.",
            },
        )


class NoticeForm(forms.ModelForm):
    """A new notice for the board."""

    class Meta:
        model = Notice
        fields = ("author", "text")
        widgets = {
            "author": forms.TextInput(attrs={"autocomplete": "name"}),
            "text": forms.TextInput(attrs={"autocomplete": "off"}),
        }


class CheckoutForm(forms.ModelForm):
    """Name, contact and delivery address of an order."""

    class Meta:
        model = Order
        fields = ("name", "email", "delivery", "address")
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
            "delivery": forms.RadioSelect,
            "address": forms.Textarea(attrs={"autocomplete": "street-address", "rows": 3}),
        }

    def clean(self) -> dict[str, Any]:
        """Delivery by post boat requires an address."""
        data = super().clean() or {}
        by_post = data.get("delivery") == Order.Delivery.POST
        if by_post and not (data.get("address") or "").strip():
            self.add_error("address", "Delivery by post boat requires an address.")
        return data
