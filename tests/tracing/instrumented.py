"""The command ``opentelemetry-instrument`` as a module: ``python -m tests.tracing.instrumented``."""

from __future__ import annotations

from opentelemetry.instrumentation.auto_instrumentation import run

if __name__ == "__main__":
    run()
