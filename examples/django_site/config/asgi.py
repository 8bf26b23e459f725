"""The same site for any ASGI server: ``uvicorn config.asgi:application``.

Sync views run as they do under WSGI, on worker threads. WebSockets go to Channels.
"""

import os

from bridge.contrib.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application(websocket="shop.sockets.application")
