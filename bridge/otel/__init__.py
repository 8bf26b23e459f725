"""OpenTelemetry: spans for the wait and for the thread of a request, in the trace it belongs to.

Needs the extra ``otel``, which is OpenTelemetry's API and nothing else. A request is one trace
without this, too: the span that is current where it arrives is current in the app.
"""

from __future__ import annotations

try:
    from bridge.otel.instrumentation import BridgeInstrumentor, instrument, uninstrument
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    hint = "bridge.otel needs opentelemetry-api: pip install 'wsgi-asgi-bridge[otel]'"
    raise ModuleNotFoundError(hint, name=error.name) from None

__all__ = ["BridgeInstrumentor", "instrument", "uninstrument"]
