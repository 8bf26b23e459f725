"""Static files while ``DEBUG`` is on, as ``manage.py runserver`` serves them.

Input: a WSGI app. Output: a WSGI app that serves the paths below ``STATIC_URL``, wherever it is
mounted, and passes on all others. Runs on: the thread that calls it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.contrib.staticfiles.views import serve
from django.core.handlers.wsgi import WSGIHandler, get_path_info, get_script_name
from django.http import HttpRequest

from bridge.contrib.django.mount_point import mount_point_unknown
from bridge.types import Environ, StartResponse

__all__ = ["DevelopmentFiles", "served_below"]


def served_below() -> str:
    """``STATIC_URL``, if ``DEBUG`` is on and ``django.contrib.staticfiles`` is installed, but not
    WhiteNoise; otherwise an empty string."""
    has_app = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    has_whitenoise = any("whitenoise" in each for each in settings.MIDDLEWARE)
    if has_whitenoise or not (settings.DEBUG and has_app):
        return ""
    with mount_point_unknown():
        return settings.STATIC_URL or ""


class DevelopmentFiles(StaticFilesHandler):
    """The handler of Django's runserver, for any mount point.

    :param application: gets all other requests.
    """

    def get_base_url(self) -> Any:
        """As in Django."""
        with mount_point_unknown():
            return super().get_base_url()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        """PEP 3333."""
        if self.below(get_script_name(environ), get_path_info(environ)) is None:
            return self.application(environ, start_response)
        return WSGIHandler.__call__(self, environ, start_response)

    def below(self, script_name: str, path_info: str) -> str | None:
        """The path below ``STATIC_URL``; None for any other path.

        A relative ``STATIC_URL`` is below the mount point, an absolute one is below the host.
        """
        base = self.base_url.path
        for path in (path_info, script_name.rstrip("/") + path_info):
            if path.startswith(base) and not self.base_url.netloc:
                return path.removeprefix(base)
        return None

    def serve(self, request: Any) -> Any:
        """The file, found in the apps and in ``STATICFILES_DIRS``."""
        return serve(request, self.file_path(_full(request, self)), insecure=True)


def _full(request: HttpRequest, files: DevelopmentFiles) -> str:
    below = files.below(request.META["SCRIPT_NAME"], request.path_info)
    return files.base_url.path + (below or "")
