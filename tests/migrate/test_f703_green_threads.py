"""F703: gevent or eventlet."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import FLASK, procfile

CODE = "F703"


@pytest.mark.parametrize(
    "text",
    [
        "from gevent import monkey\n\nmonkey.patch_all()\n",
        "import gevent.monkey\n\ngevent.monkey.patch_socket()\n",
        "import eventlet\n\neventlet.monkey_patch()\n",
        "from gevent.monkey import patch_all\n\npatch_all(thread=False)\n",
    ],
)
def test_a_patch_is_found(text: str) -> None:
    [found] = findings({"shop/code.py": text}, CODE)

    assert (found.line, found.bridge) == (3, Severity.WARNING)


@pytest.mark.parametrize("worker", ["gevent", "eventlet", "geventwebsocket.gunicorn.GeventWorker"])
def test_a_worker_class_is_found(worker: str) -> None:
    [found] = findings({**FLASK, **procfile(f"gunicorn shop:app -k {worker}")}, CODE)

    assert str(found.path) == "Procfile"
    assert "holds a thread" in found.message


def test_threads_are_ignored() -> None:
    check_noop(CODE, "web: gunicorn shop:app -k gthread\n", path="Procfile", files=FLASK)
    check_noop(CODE, "def test(monkeypatch):\n    monkeypatch.setattr(a, 'b', 1)\n")


def test_a_comment_suppresses_it() -> None:
    text = "import eventlet\n\neventlet.monkey_patch()  # bridge: ignore[F703] workers only\n"
    check_noop(CODE, text)
