"""E108: threads, schedulers and signal handlers that start once in each process."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Finding, Severity
from tests.migrate.helpers import findings
from tests.migrate.sites import DJANGO, FLASK, procfile

CODE = "E108"
HEAD = (
    "import multiprocessing\nimport signal\nimport threading\n\n"
    "from apscheduler.schedulers.background import BackgroundScheduler\n"
    "from flask_apscheduler import APScheduler\n\n\n"
)
STARTED = {
    "thread": "threading.Thread(target=poll, daemon=True).start()",
    "timer": "threading.Timer(60, poll).start()",
    "process": "multiprocessing.Process(target=poll).start()",
    "named thread": "poller = threading.Thread(target=poll)\n{indent}poller.start()",
    "scheduler": "scheduler = BackgroundScheduler()\n{indent}scheduler.start()",
    "scheduler of flask": "scheduler = APScheduler()\n{indent}scheduler.start()",
    "own thread": "Poller().start()",
    "signal": "signal.signal(signal.SIGUSR1, report)",
}
OWN = "class Poller(threading.Thread):\n    pass\n\n\n"


def lines(started: str, indent: str = "") -> str:
    return STARTED[started].format(indent=indent)


def found_in(files: dict[str, str], command: str = "gunicorn shop:app -w 9") -> list[Finding]:
    return findings({**FLASK, **files, **procfile(command)}, CODE, target="bridge")


@pytest.mark.parametrize("started", STARTED)
def test_what_a_module_starts_when_it_is_imported_is_found(started: str) -> None:
    files = {"shop.py": f"{HEAD}{OWN}{lines(started)}\n{FLASK['shop.py']}"}

    [found] = found_in(files)

    assert found.bridge is found.native is Severity.WARNING
    assert "9 processes" in found.message
    assert "shop is imported" in found.message


@pytest.mark.parametrize("started", STARTED)
def test_what_an_app_factory_starts_is_found(started: str) -> None:
    start = f"    app = Flask(__name__)\n    {lines(started, '    ')}\n"
    text = FLASK["shop.py"].replace("    app = Flask(__name__)\n", start)

    [found] = found_in({"shop.py": HEAD + OWN + text})

    assert "create_app() runs" in found.message


@pytest.mark.parametrize(
    "body",
    [
        "        {}\n",
        "        self.begin()\n\n    def begin(self):\n        {}\n",
        "        from shop.jobs import begin\n\n        begin()\n",
    ],
)
def test_what_ready_starts_is_found(body: str) -> None:
    start = lines("thread")
    apps = f"{HEAD}from django.apps import AppConfig\n\n\n"
    apps += "class Shop(AppConfig):\n    def ready(self):\n"
    files = {
        "shop/apps.py": apps + body.format(start),
        "shop/jobs.py": f"import threading\n\n\ndef begin():\n    {start}\n",
    }
    found = findings(
        {**DJANGO, **files, **procfile("gunicorn mysite.wsgi -w 9")}, CODE, target="bridge"
    )

    assert len(found) == 1
    assert "Shop.ready() runs" in found[0].message


def test_a_function_that_returns_the_app_is_a_factory() -> None:
    text = f"{FLASK['shop.py']}\n\ndef setup(config):\n    {lines('thread')}\n    return app\n"

    [found] = found_in({"shop.py": HEAD + text})

    assert "setup() runs" in found.message


def test_a_module_that_another_process_runs_is_ignored() -> None:
    run = "import subprocess\n\nsubprocess.Popen(['python', '-m', 'jobs.poll'])\n"
    files = {"jobs/poll.py": f"{HEAD}{lines('thread')}\n", "shop.py": run + FLASK["shop.py"]}

    assert found_in(files) == []


def test_a_function_that_is_called_at_import_is_found() -> None:
    jobs = f"{HEAD}def begin():\n    {lines('thread')}\n"
    files = {"jobs.py": jobs, "shop.py": f"import jobs\n\njobs.begin()\n{FLASK['shop.py']}"}

    [found] = found_in(files)

    assert (str(found.path), found.line) == ("jobs.py", 10)


@pytest.mark.parametrize(
    "text",
    [
        f"@app.get('/')\ndef view():\n    {lines('thread')}\n",
        f"class Jobs:\n    def begin(self):\n        {lines('thread')}\n",
        f"if __name__ == '__main__':\n    {lines('thread')}\n",
        "thread = threading.Thread(target=poll)\n",
        "timer.start()\n",
        "previous = signal.getsignal(signal.SIGTERM)\n",
        f"{lines('thread')}  # bridge: ignore[E108] takes a lock\n",
    ],
)
def test_other_code_is_ignored(text: str) -> None:
    assert found_in({"shop.py": f"{HEAD}{FLASK['shop.py']}\n{text}"}) == []


@pytest.mark.parametrize(
    "path",
    ["shop/management/commands/poll.py", "tests/test_poll.py", "scripts/nightly.py", "manage.py"],
)
def test_code_that_no_server_imports_is_ignored(path: str) -> None:
    assert found_in({path: f"{HEAD}{lines('thread')}\n"}) == []


@pytest.mark.parametrize("command", ["gunicorn shop:app", "gunicorn shop:app --threads 8"])
def test_one_process_is_no_finding(command: str) -> None:
    files = {"shop.py": f"{HEAD}{lines('thread')}\n{FLASK['shop.py']}"}

    assert found_in(files, command) == []


def test_a_computed_number_of_processes_is_a_finding() -> None:
    files = {"shop.py": f"{HEAD}{lines('thread')}\n{FLASK['shop.py']}"}

    [found] = found_in(files, "gunicorn shop:app -w $WORKERS")

    assert "each process" in found.message


def test_preload_started_it_once() -> None:
    files = {"shop.py": f"{HEAD}{lines('thread')}\n{FLASK['shop.py']}"}

    [found] = found_in(files, "gunicorn shop:app -w 9 --preload")

    assert "once, in gunicorn's master" in found.message


def test_a_signal_is_not_passed_on_to_the_workers() -> None:
    files = {"shop.py": f"{HEAD}{lines('signal')}\n{FLASK['shop.py']}"}

    [found] = found_in(files)

    assert "SIGUSR1" in found.message
    assert "does not pass it on" in found.message


def test_the_servers_own_handler_is_replaced() -> None:
    text = lines("signal").replace("USR1", "TERM")

    [found] = found_in({"shop.py": f"{HEAD}{text}\n{FLASK['shop.py']}"})

    assert "replaces the server's own" in found.message
