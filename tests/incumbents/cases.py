"""All applications, by the name that the command line takes."""

from __future__ import annotations

from tests.incumbents.applications import AIRFLOW, CONNEXION, DASH, MCP, MLFLOW, SUPERSET
from tests.incumbents.instruments import (
    DEBUG_TOOLBAR,
    OTEL_ASGI,
    OTEL_DJANGO,
    OTEL_FASTAPI,
    OTEL_FLASK,
    SENTRY_DJANGO,
    SENTRY_FASTAPI,
    SENTRY_FLASK,
)

__all__ = ["CASES"]

_ALL = (
    *(CONNEXION, DASH, MLFLOW, SENTRY_FLASK, SENTRY_FASTAPI, SENTRY_DJANGO),
    *(OTEL_FLASK, OTEL_FASTAPI, OTEL_DJANGO, OTEL_ASGI),
    *(DEBUG_TOOLBAR, MCP, AIRFLOW, SUPERSET),
)

CASES = {case.name: case for case in _ALL}
