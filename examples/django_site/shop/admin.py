"""The admin: products with their stock, orders with their lines, notices."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from shop.models import Notice, Order, OrderLine, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Prices and stock can be edited in the list."""

    list_display = ("name", "category", "price", "stock")
    list_editable = ("price", "stock")
    list_filter = ("category",)
    search_fields = ("name", "summary", "description")
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Notice)
class NoticeAdmin(admin.ModelAdmin):
    """The notices on the board."""

    list_display = ("author", "text", "posted_at")


class OrderLineInline(admin.TabularInline):
    """The lines of an order, on its page."""

    model = OrderLine
    extra = 0
    autocomplete_fields = ("product",)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders with their totals, in one query for the whole list."""

    list_display = ("short_number", "placed_at", "name", "delivery", "status", "total")
    list_filter = ("status", "delivery")
    search_fields = ("name", "email", "number")
    date_hierarchy = "placed_at"
    readonly_fields = ("number", "placed_at")
    raw_id_fields = ("customer",)
    inlines = (OrderLineInline,)
    actions = ("mark_as_shipped",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """The orders with their totals."""
        return super().get_queryset(request).with_totals()

    @admin.display(ordering="sum")
    def total(self, order: Order) -> str:
        """The total in the list; 0 for an order without lines."""
        return f"€ {order.sum or 0:.2f}"

    @admin.action(description="Mark as shipped")
    def mark_as_shipped(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Change the status of all selected orders."""
        changed = queryset.update(status=Order.Status.SHIPPED)
        self.message_user(request, f"Orders marked as shipped: {changed}.")
