"""The same app for any ASGI server: ``uvicorn asgi:app``. This line is the whole move."""

from wsgi import app as wsgi_app

import bridge

app = bridge.to_asgi(wsgi_app)
