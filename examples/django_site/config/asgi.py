"""The site for ASGI servers: ``uvicorn config.asgi:application``.

Sync views run on worker threads, as under WSGI. Channels handles the WebSockets.
"""

import os

from bridge.contrib.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application(websocket="shop.sockets.application")
