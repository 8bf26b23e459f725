"""X504: uwsgi features besides serving."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import DJANGO, procfile

CODE = "X504"
INI = "[uwsgi]\nmodule = mysite.wsgi\nhttp = :8000\nmaster = true\n"


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("spooler = /var/spool", "task queue"),
        ("cron = 0 4 -1 -1 -1 /bin/clean", "systemd timer"),
        ("mule = worker.py", "task queue"),
        ("cache2 = name=x,items=100", "Redis"),
        ("static-map = /static=/srv/static", "WhiteNoise"),
        ("attach-daemon = redis-server", "supervisor"),
        ("cheaper = 2", "number of workers"),
        ("gevent = 100", "threads for blocking code"),
    ],
)
def test_a_feature_is_found_with_its_replacement(line: str, instead: str) -> None:
    [found] = findings({**DJANGO, "uwsgi.ini": f"{INI}{line}\n"}, CODE)

    assert (str(found.path), found.line) == ("uwsgi.ini", 5)
    assert instead in found.help


def test_a_feature_on_the_command_line_is_found() -> None:
    command = "uwsgi --http :1 --module mysite.wsgi --static-map /static=/srv"
    [found] = findings({**DJANGO, **procfile(command)}, CODE)

    assert found.message.startswith("--static-map works only in uwsgi")


@pytest.mark.parametrize(
    "statement", ["import uwsgi", "from uwsgidecorators import timer", "import uwsgi as u"]
)
def test_imports_of_uwsgi_modules_are_found(statement: str) -> None:
    [found] = findings({"shop/code.py": f"{statement}\n"}, CODE)

    assert found.line == 1


def test_the_module_uwsgi_does_not_exist_elsewhere() -> None:
    """It confirms the severity: the import is an error on any other server."""
    ran = subprocess.run(
        [sys.executable, "-c", "import uwsgi"], capture_output=True, text=True, timeout=60
    )
    assert "ModuleNotFoundError" in ran.stderr


def test_an_import_in_try_is_ignored() -> None:
    check_noop(CODE, "try:\n    import uwsgi\nexcept ImportError:\n    uwsgi = None\n")


def test_plain_serving_is_ignored() -> None:
    check_noop(CODE, INI, path="uwsgi.ini", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    check_noop(CODE, "import uwsgi  # bridge: ignore[X504] never imported elsewhere\n")
