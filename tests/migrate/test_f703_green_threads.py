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


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("from gevent import Timeout\n\nwith Timeout(5):\n    load()\n", "never fires"),
        ("import gevent\n\ntimeout = gevent.Timeout.start_new(5)\n", "never fires"),
        ("import eventlet\n\nwith eventlet.Timeout(5):\n    load()\n", "never fires"),
        ("from gevent import spawn as run\n\nrun(send, 1)\n", "does not run"),
        ("from gevent.pool import Pool\n\npool = Pool(10)\n", "does not run"),
        ("import eventlet\n\neventlet.spawn_n(send)\n", "does not run"),
        ("from gevent.lock import Semaphore\n\nlock = Semaphore()\n", "within one thread"),
        ("from gevent.queue import Queue\n\njobs = Queue()\n", "within one thread"),
    ],
)
def test_functions_of_gevent_that_need_its_hub_are_found(text: str, effect: str) -> None:
    [found] = findings({"shop/code.py": text}, CODE)

    assert found.line == 3
    assert effect in found.message
    expected = Severity.ERROR if effect == "never fires" else Severity.WARNING
    assert found.bridge is expected


def test_a_timeout_that_the_patch_lets_fire_is_a_warning() -> None:
    text = (
        "from gevent import Timeout, monkey\n\nmonkey.patch_all()\n\nwith Timeout(5):\n    load()\n"
    )
    patch, timeout = findings({"shop/code.py": text}, CODE)

    assert (timeout.line, timeout.bridge) == (5, Severity.WARNING)
    assert "once the patch is removed" in timeout.message
    assert patch.help.startswith("first replace what needs it (shop/code.py:5 gevent.Timeout)")


def test_the_advice_for_a_worker_class_names_what_needs_it() -> None:
    code = {"jobs.py": "from gevent import Timeout\n\nwith Timeout(5):\n    load()\n"}
    found = findings({**FLASK, **code, **procfile("gunicorn shop:app -k gevent")}, CODE)
    [worker] = [each for each in found if str(each.path) == "Procfile"]

    assert worker.help.startswith("first replace what needs it (jobs.py:3 gevent.Timeout)")


def test_each_function_is_reported_once_in_a_module() -> None:
    text = "from gevent import spawn\n\nspawn(a)\nspawn(b)\n"

    assert [each.line for each in findings({"shop/code.py": text}, CODE)] == [3]


def test_threads_are_ignored() -> None:
    check_noop(CODE, "web: gunicorn shop:app -k gthread\n", path="Procfile", files=FLASK)
    check_noop(CODE, "def test(monkeypatch):\n    monkeypatch.setattr(a, 'b', 1)\n")


def test_a_comment_suppresses_it() -> None:
    text = "import eventlet\n\neventlet.monkey_patch()  # bridge: ignore[F703] workers only\n"
    check_noop(CODE, text)
