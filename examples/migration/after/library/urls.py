from django.urls import path

from books import views

urlpatterns = [
    path("", views.index),
    path("about/", views.about),
    path("prices/", views.prices),
]
