"""ASGI apps through `to_wsgi` on real WSGI servers."""
