"""What the unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge._threads.instances import Instances
from bridge.asgi_to_wsgi.running_app import close_running_apps


@pytest.fixture
def close_apps() -> Iterator[None]:
    """Shut down the apps that the test has started behind ``to_wsgi``."""
    yield
    close_running_apps()


@pytest.fixture
def no_other_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the adapters of other tests, which may not be garbage collected yet."""
    monkeypatch.setattr("bridge.asgi_to_wsgi.adapter._adapters", Instances())
