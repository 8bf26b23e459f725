"""WSGI apps on ASGI servers: :class:`WsgiToAsgi`."""

from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["WsgiToAsgi"]
