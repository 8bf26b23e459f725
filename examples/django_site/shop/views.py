"""The views: ordinary sync Django views."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from shop import live, orders
from shop.basket import Basket, BasketLine
from shop.forms import CheckoutForm, NoticeForm, QuantityForm, SearchForm
from shop.models import Notice, Order, OrderLine, Product


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """All products, those of one category, or those that match a search."""
    form = SearchForm(request.GET)
    products = Product.objects.all()
    if form.is_valid():
        query, category = form.cleaned_data["q"], form.cleaned_data["category"]
        products = products.filter(Q(name__icontains=query) | Q(summary__icontains=query))
        if category:
            products = products.filter(category=category)
    return render(request, "shop/catalogue.html", {"form": form, "products": products})


def product(request: HttpRequest, slug: str) -> HttpResponse:
    """One product, with a form that adds it to the basket."""
    item = get_object_or_404(Product, slug=slug)
    in_basket = Basket(request).quantity_of(item)
    form = QuantityForm(request.POST or None, product=item, initial={"quantity": in_basket or 1})
    if request.method == "POST" and form.is_valid():
        Basket(request).put(item, form.cleaned_data["quantity"])
        messages.success(request, f"{item.name} is in your basket.")
        return redirect("shop:basket")
    context = {"product": item, "form": form, "in_basket": in_basket}
    return render(request, "shop/product.html", context)


@require_safe
def basket(request: HttpRequest) -> HttpResponse:
    """The basket, with a form for each line."""
    lines = Basket(request).lines()
    return render(request, "shop/basket.html", {"lines": lines, "total": _total(lines)})


def quay(request: HttpRequest) -> HttpResponse:
    """The live notice board. Saving a notice updates every open page."""
    form = NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("shop:quay")
    context = {
        "form": form,
        "notices": Notice.objects.all()[: live.NOTICES],
        "products": Product.objects.all(),
        "has_websockets": live.has_websockets(request.META),
    }
    return render(request, "shop/quay.html", context)


@require_POST
def change_basket(request: HttpRequest, slug: str) -> HttpResponse:
    """Change the quantity of a product in the basket; 0 removes it."""
    item = get_object_or_404(Product, slug=slug)
    form = QuantityForm(request.POST, product=item, minimum=0)
    if form.is_valid():
        Basket(request).put(item, form.cleaned_data["quantity"])
        messages.success(request, "The basket was updated.")
    else:
        messages.error(request, f"{item.name}: {form.errors['quantity'][0]}")
    return redirect("shop:basket")


def checkout(request: HttpRequest) -> HttpResponse:
    """The order form; places the order."""
    lines = Basket(request).lines()
    if not lines:
        messages.warning(request, "Your basket is empty.")
        return redirect("shop:catalogue")
    form = CheckoutForm(request.POST or None, initial=_user_details(request))
    if request.method == "POST" and form.is_valid():
        try:
            return _place(request, form)
        except orders.OutOfStock as error:
            messages.error(request, str(error))
            return redirect("shop:basket")
    context = {"form": form, "lines": lines, "total": _total(lines)}
    return render(request, "shop/checkout.html", context)


@require_safe
def order(request: HttpRequest, number: str) -> HttpResponse:
    """One order, by its number."""
    found = get_object_or_404(Order.objects.prefetch_related("lines__product"), number=number)
    context = {"order": found, "lines": found.lines.all(), "total": _total(found.lines.all())}
    return render(request, "shop/order.html", context)


@login_required
@require_safe
def my_orders(request: HttpRequest) -> HttpResponse:
    """The orders of the user who is logged in."""
    mine = Order.objects.with_totals().filter(customer=request.user)
    return render(request, "shop/my_orders.html", {"orders": mine})


@login_required
@permission_required("shop.view_order", raise_exception=True)
@require_safe
def export(request: HttpRequest) -> StreamingHttpResponse:
    """All orders as CSV, streamed from the database to the client."""
    return StreamingHttpResponse(
        orders.csv_lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="orders.csv"'},
    )


def _place(request: HttpRequest, form: CheckoutForm) -> HttpResponse:
    new = form.save(commit=False)
    new.customer = request.user if request.user.is_authenticated else None
    basket = Basket(request)
    orders.place(new, basket.lines())
    basket.empty()
    messages.success(request, "Thank you! Your order was placed.")
    return redirect(new)


def _user_details(request: HttpRequest) -> dict[str, str]:
    """Initial values for a user who is logged in."""
    if not request.user.is_authenticated:
        return {}
    return {"name": request.user.get_full_name(), "email": request.user.email}


def _total(lines: Iterable[BasketLine | OrderLine]) -> Decimal:
    return sum((line.total for line in lines), Decimal(0))
