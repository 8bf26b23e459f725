"""Everything a customer can type, and what is right about it."""

from __future__ import annotations

from typing import Any

from django import forms

from shop.models import Notice, Order, Product


class SearchForm(forms.Form):
    """What to show in the catalogue. Nonsense shows everything."""

    q = forms.CharField(label="Search", required=False, max_length=80)
    category = forms.ChoiceField(
        label="Shelf", required=False, choices=[("", "Everything"), *Product.Category.choices]
    )


class QuantityForm(forms.Form):
    """How many of one product are to be in the basket.

    :param product: whose stock is the limit.
    :param least: 1 to put it in, 0 where it can be taken out.
    """

    quantity = forms.IntegerField(label="How many?", initial=1)

    def __init__(self, *args: Any, product: Product, least: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["quantity"] = forms.IntegerField(
            label="How many?",
            initial=1,
            min_value=least,
            max_value=product.stock,
            error_messages={
                "max_value": f"There are {product.stock} left.",
                "min_value": f"At least {least}, please.",
            },
        )


class NoticeForm(forms.ModelForm):
    """What somebody chalks up on the board."""

    class Meta:
        model = Notice
        fields = ("author", "text")
        widgets = {
            "author": forms.TextInput(attrs={"autocomplete": "name"}),
            "text": forms.TextInput(attrs={"autocomplete": "off"}),
        }


class CheckoutForm(forms.ModelForm):
    """Who orders, and where it goes."""

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
        """The post boat needs an address."""
        data = super().clean() or {}
        by_post = data.get("delivery") == Order.Delivery.POST
        if by_post and not (data.get("address") or "").strip():
            self.add_error("address", "The post boat needs to know where to go.")
        return data
