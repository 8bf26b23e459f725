"""The URLconf. All paths are relative to the mount point, which the server sets."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.views import serve
from django.urls import include, path

admin.site.site_header = "Harbour Shop"
admin.site.site_title = "Harbour Shop"
admin.site.index_title = "Shop administration"

urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # Django searches for the files on each request, which is enough for an example. In production,
    # run collectstatic and let nginx or WhiteNoise serve the folder.
    path("static/<path:path>", serve, {"insecure": True}),
]
