"""X503: options of gunicorn and uwsgi that no ASGI server has."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import DJANGO, FLASK, procfile

CODE = "X503"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--timeout 30", "no ASGI server ends a request"),
        ("-t 30", "no ASGI server ends a request"),
        ("--preload", "imports the app in each worker"),
        ("--threads 8", "on a separate thread"),
        ("--access-logfile /var/log/x", "logs to stdout and stderr"),
        ("--statsd-host localhost:8125", "no statistics"),
        ("--limit-request-line 2000", "limits the head as a whole"),
    ],
)
def test_a_lost_option_is_found(option: str, expected: str) -> None:
    [found] = findings({**DJANGO, **procfile(f"gunicorn mysite.wsgi {option}")}, CODE)

    assert expected in found.message
    assert (str(found.path), found.line, found.fix) == ("Procfile", 1, None)


def test_the_advice_for_a_timeout_names_the_option_of_bridge() -> None:
    [found] = findings({**DJANGO, **procfile("gunicorn mysite.wsgi --timeout 30")}, CODE)

    assert "request_timeout_s" in found.help


def test_harakiri_is_found_where_it_is_set() -> None:
    files = {**DJANGO, "uwsgi.ini": "[uwsgi]\nmodule = mysite.wsgi\nharakiri = 30\n"}
    [found] = findings(files, CODE)

    assert (str(found.path), found.line) == ("uwsgi.ini", 3)


def test_hooks_are_found() -> None:
    config = "workers = 2\n\n\ndef post_fork(server, worker):\n    pass\n"
    [found] = findings({**DJANGO, "gunicorn.conf.py": config}, CODE)

    assert (found.line, found.message.partition(" ")[0]) == (4, "post_fork")


def test_bridge_has_threads() -> None:
    start = "web: gunicorn mysite.wsgi --threads 8\n"  # X501 sets them in asgi.py
    check_noop(CODE, start, path="Procfile", files=DJANGO, target="bridge")
    check_noop(
        CODE,
        "web: gunicorn shop:app --threads 8\n",
        path="Procfile",
        files=FLASK,
        target="bridge",
    )


@pytest.mark.parametrize(
    "options",
    [
        "--bind :8000 -w 3 --graceful-timeout 9 --keep-alive 2 --access-logfile - --log-file -",
        "--timeout 0 --threads 1 -k gthread --worker-tmp-dir /dev/shm --name site",
    ],
)
def test_options_with_a_counterpart_are_ignored(options: str) -> None:
    check_noop(CODE, f"web: gunicorn mysite.wsgi {options}\n", path="Procfile", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    check_noop(
        CODE,
        "# bridge: ignore[X503] the proxy has a timeout\nweb: gunicorn mysite.wsgi -t 30\n",
        path="Procfile",
        files=DJANGO,
    )
