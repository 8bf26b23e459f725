"""A site to try these files with: Django and Channels in a Router. Replace it with your own.

=============  ====================================================================
``/``          which host answered
``/slow``      the same after a second, from a worker thread
``/events``    server-sent events, one in a tenth of a second, ten of them
``/notices``   POST a text: it is sent to every open WebSocket, on any host
``/ws``        the WebSocket that receives the notices
=============  ====================================================================

``REDIS_URL`` connects the hosts; ``DATABASE_URL`` is Django's database, for apps that use one.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_POST

import bridge

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "only-for-a-test"),
    ALLOWED_HOSTS=os.environ.get("ALLOWED_HOSTS", "*").split(","),
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "layer.LastingLayer",
            "CONFIG": {"hosts": [os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")]},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402  # needs the settings
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from layer import ERRORS  # noqa: E402

HOST = os.environ.get("HOST_NAME") or socket.gethostname()
RELEASE = os.environ.get("RELEASE", "1")


def index(request: HttpRequest) -> HttpResponse:
    """Which host answered, and which release of the site runs there."""
    return JsonResponse({"host": HOST, "release": RELEASE})


def slow(request: HttpRequest) -> HttpResponse:
    """A request that a shutdown has to wait for."""
    time.sleep(1)
    return index(request)


def events(request: HttpRequest) -> StreamingHttpResponse:
    """A short stream. nginx passes it on as it comes, because of the header."""

    def ticks() -> Iterator[str]:
        for number in range(10):
            yield f"data: {number}\n\n"
            time.sleep(0.1)

    response = StreamingHttpResponse(ticks(), content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def notices(request: HttpRequest) -> HttpResponse:
    """Send the text to all open WebSockets. 503 while Redis does not answer: nothing was sent."""
    message = {"type": "notice", "text": request.body.decode(), "host": HOST}
    try:
        async_to_sync(get_channel_layer().group_send)("notices", message)
    except ERRORS:
        return JsonResponse({"error": "the notice was not sent"}, status=503)
    return JsonResponse({"host": HOST})


class Notices(AsyncJsonWebsocketConsumer):
    """One open WebSocket. Its first message has the name of its host."""

    async def connect(self) -> None:
        """Join the group, and only then accept."""
        await self.channel_layer.group_add("notices", self.channel_name)
        await self.accept()
        await self.send_json({"host": HOST})

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard("notices", self.channel_name)

    async def notice(self, event: dict[str, str]) -> None:
        """A notice, from any host."""
        await self.send_json({"text": event["text"], "from": event["host"], "host": HOST})


urlpatterns = [
    path("", index),
    path("slow", slow),
    path("events", events),
    path("notices", notices),
]

app = bridge.Router(
    {
        "/": get_wsgi_application(),
        "/ws": bridge.Mount(websocket=URLRouter([path("", Notices.as_asgi())])),
    },
    # An app that is a Router already sets its limits itself: `bridge run` has none for it.
    request_timeout_s=60,
    queue_timeout_s=30,
)
