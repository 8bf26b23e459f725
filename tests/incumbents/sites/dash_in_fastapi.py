"""The dashboard of the cookbook, mounted as FastAPI's documentation describes it."""

import warnings

from a2wsgi import WSGIMiddleware as A2wsgi
from dash_app import dashboard
from dash_bridge import items
from fastapi import FastAPI

with warnings.catch_warnings(action="ignore"):
    from fastapi.middleware.wsgi import WSGIMiddleware

app = FastAPI()
app.get("/api/items")(items)
app.mount("/dash", WSGIMiddleware(dashboard.server))

app_of_a2wsgi = FastAPI()
app_of_a2wsgi.get("/api/items")(items)
app_of_a2wsgi.mount("/dash", A2wsgi(dashboard.server))
