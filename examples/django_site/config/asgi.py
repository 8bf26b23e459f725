"""The same site for any ASGI server: ``uvicorn config.asgi:application``. One line is new."""

import bridge

from config.wsgi import application as wsgi_application

application = bridge.to_asgi(wsgi_application)
