"""The same app for ASGI servers: ``uvicorn asgi:app``. The last line is all that it takes."""

from wsgi import app as wsgi_app

import bridge

app = bridge.to_asgi(wsgi_app)
