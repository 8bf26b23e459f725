"""The dashboard of the cookbook without an adapter: below a prefix of a WSGI server."""

from dash_app import dashboard
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = DispatcherMiddleware(NotFound(), {"/dash": dashboard.server})
