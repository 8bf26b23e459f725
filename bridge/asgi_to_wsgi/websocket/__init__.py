"""WebSockets of ASGI apps on WSGI servers that leave the raw socket in the environ."""
