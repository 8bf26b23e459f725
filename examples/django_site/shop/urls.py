"""The URLs of the shop."""

from __future__ import annotations

from django.urls import path

from shop import views

app_name = "shop"

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("basket/", views.basket, name="basket"),
    path("basket/<slug:slug>/", views.change_basket, name="change_basket"),
    path("quay/", views.quay, name="quay"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/", views.my_orders, name="my_orders"),
    path("orders.csv", views.export, name="export"),
    path("orders/<uuid:number>/", views.order, name="order"),
]
