"""The command ``opentelemetry-instrument`` as a module, for ``python -m``."""

from __future__ import annotations

from opentelemetry.instrumentation.auto_instrumentation import run

if __name__ == "__main__":
    run()
