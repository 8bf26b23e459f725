"""Apps that fail, with the error reports of their frameworks: what do they print of a request?

``wsgi`` serves them on a WSGI server, ``app`` through ``to_asgi``. Routes: ``/environ`` (the
environ's ``repr``), ``/flask`` (the page of Werkzeug's debugger), ``/django`` (the page of Django's
error report) and ``/mail`` (the mail of the last report, with its HTML part). ``DEBUG`` is
Django's, from ``BRIDGE_TEST_DEBUG``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import django
import flask
from django.conf import settings
from werkzeug.debug import DebuggedApplication

import bridge
from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN, not_found

settings.configure(
    DEBUG=os.environ.get("BRIDGE_TEST_DEBUG") == "1",
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    ADMINS=[("admin", "admin@example.org")],
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    LOGGING_CONFIG=None,
)
django.setup()

from django.core import mail  # noqa: E402 (needs the settings above)
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.http.response import HttpResponse, HttpResponseBase  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.log import AdminEmailHandler, request_logger  # noqa: E402

request_logger.addHandler(AdminEmailHandler(include_html=True))


def fail(request: HttpRequest) -> HttpResponseBase:
    environ = request.META  # a local variable, as the report prints them
    raise LookupError(len(environ))


def last_mail(request: HttpRequest) -> HttpResponseBase:
    message: Any = mail.outbox[-1]
    html = "".join(content for content, _ in message.alternatives)
    return HttpResponse(message.body + html, content_type="text/plain; charset=utf-8")


urlpatterns = [path("django", fail), path("mail", last_mail)]

flask_app = flask.Flask(__name__)
flask_app.config["PROPAGATE_EXCEPTIONS"] = True


@flask_app.get("/flask")
def fail_in_flask() -> str:
    environ = flask.request.environ
    raise LookupError(len(environ))


def show_environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [repr(environ).encode()]


ROUTES: dict[str, Any] = {
    "/environ": show_environ,
    "/flask": DebuggedApplication(flask_app, evalex=False),
    "/django": WSGIHandler(),
}
ROUTES["/mail"] = ROUTES["/django"]


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    chosen = ROUTES.get(environ["PATH_INFO"], not_found)
    response: Iterable[bytes] = chosen(environ, start_response)
    return response


app = bridge.to_asgi(wsgi)
