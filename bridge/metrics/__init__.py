"""Metrics for Prometheus: threads, queues, times, event loops, requests, WebSockets.

::

    from bridge.metrics import measure, metrics_app

    app = bridge.Router({"/": measure(flask_app), "/api": measure(fastapi_app)})
    app = bridge.Router({"/": measure(site), "/metrics": metrics_app()})

``bridge run --metrics`` does both without code, on an address of its own. Needs the extra
``metrics``. The list of all metrics is in :doc:`/reference/metrics`.
"""

from __future__ import annotations

try:
    import prometheus_client  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "bridge.metrics needs prometheus-client: pip install 'wsgi-asgi-bridge[metrics]'",
        name=error.name,
    ) from error

from bridge.metrics.exposition import metrics_app
from bridge.metrics.measure import measure

__all__ = ["measure", "metrics_app"]
