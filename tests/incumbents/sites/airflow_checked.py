"""The recipe for Airflow, if its Flask apps are really behind bridge."""

from airflow_bridge import app
from starlette.routing import Mount

import bridge

__all__ = ["app"]

mounted = {route.path: route.app for route in app.routes if isinstance(route, Mount)}
below_auth = [route.app for route in mounted["/auth"].routes if isinstance(route, Mount)]

assert isinstance(mounted["/pluginsv2"], bridge.WsgiToAsgi)
assert any(isinstance(each, bridge.WsgiToAsgi) for each in below_auth)
