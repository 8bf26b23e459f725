"""ASGI apps on WSGI servers: :class:`AsgiToWsgi`."""

from bridge.asgi_to_wsgi.adapter import AsgiToWsgi

__all__ = ["AsgiToWsgi"]
