"""The recipe for connexion, if its Flask app is really behind bridge."""

from connexion_bridge import app, connexion_app

import bridge

__all__ = ["app"]

assert isinstance(connexion_app._middleware_app.asgi_app, bridge.WsgiToAsgi)
