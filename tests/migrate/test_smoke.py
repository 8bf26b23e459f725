"""``bridge migrate check --smoke``: the written start command, on real servers."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.migrate.sites import DJANGO, FLASK, procfile

BRIDGE = DJANGO["mysite/asgi.py"].replace("django.core.asgi", "bridge.contrib.django")
LOGIN = (
    "from django.http import HttpResponse\nfrom django.urls import path\n\n\n"
    "def page(request):\n    return HttpResponse('a page')\n\n\n"
    'urlpatterns = [path("", page), path("enter/", page)]\n'
)
SITE = {**DJANGO, "mysite/asgi.py": BRIDGE, "mysite/urls.py": LOGIN}
LIVE = (
    "from mysite.settings import *\n"
    'ALLOWED_HOSTS = [".shop.example"]\nDEBUG = False\nLOGIN_URL = "/enter/"\n'
)


def site(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def smoke(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``check --smoke``, without the other findings."""
    options = ["--smoke", "--target", "bridge", "--fail-level", "never"]
    return subprocess.run(
        [sys.executable, "-m", "bridge", "migrate", "check", folder, *options, *arguments],
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def result(folder: Path, **environment: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the result as JSON."""
    ran = smoke(folder, "--format", "json", **environment)
    return ran.returncode, json.loads(ran.stdout)["smoke"]


def is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


def test_a_flask_app_answers(tmp_path: Path) -> None:
    login = (
        FLASK["shop.py"] + "\n\n@app.route('/sign-in/login')\ndef login():\n    return 'login'\n"
    )
    command = "GREETING=hi bridge run shop:app --server uvicorn --host 0.0.0.0 --port $PORT"
    folder = site(tmp_path, {"shop.py": login, **procfile(f"{command} --workers 2 --threads 4")})

    ran = smoke(folder)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = ran.stdout[ran.stdout.index("Smoke test") :]
    assert "bridge run shop:app" in text.splitlines()[0]
    assert "(Procfile:1)" in text.splitlines()[0]
    assert re.search(r"^  / +200$", text, re.MULTILINE)
    assert re.search(r"^  /bridge-smoke-test-\w+ +404$", text, re.MULTILINE)
    assert re.search(r"^  /sign-in/login +200$", text, re.MULTILINE)
    assert re.search(r"^  DEBUG +off$", text, re.MULTILINE)
    assert re.search(rf"^  user +{pwd.getpwuid(os.getuid()).pw_name}$", text, re.MULTILINE)


def test_a_django_project_answers_with_the_settings_of_the_deployment(tmp_path: Path) -> None:
    command = "uvicorn mysite.asgi:application --port 8000 --workers 2"
    unit = (
        "[Service]\nEnvironment=DJANGO_SETTINGS_MODULE=mysite.live\n"
        f"ExecStart=/srv/.venv/bin/{command}\nUser=www-data\n"
    )
    folder = site(tmp_path, {**SITE, "mysite/live.py": LIVE, "shop.service": unit})

    code, found = result(folder)

    assert (code, found["problems"]) == (0, [])
    assert (found["settings"], found["debug"]) == ("mysite.live", False)
    assert found["pages"]["/"] == found["pages"]["/enter/"] == 200
    assert list(found["pages"].values()).count(404) == 1
    assert found["deployed_user"] == "www-data (shop.service:4)"
    assert len(found["ports"]) == 1
    assert is_free(found["ports"][0])


@pytest.mark.full
@pytest.mark.parametrize("program", ["hypercorn", "granian", "daphne"])
def test_other_servers_are_started_as_well(program: str, tmp_path: Path) -> None:
    options = {
        "granian": "--interface asgi --port 8000",
        "hypercorn": "-b :8000",
        "daphne": "-p 8000",
    }
    command = f"{program} {options[program]} mysite.asgi:application"
    folder = site(tmp_path, {**SITE, **procfile(command)})

    code, found = result(folder)

    assert (code, found["pages"]["/"]) == (0, 200), found


def test_debug_that_is_on_is_a_problem(tmp_path: Path) -> None:
    settings = SITE["mysite/settings.py"] + "DEBUG = True\n"
    files = {**SITE, "mysite/settings.py": settings, **procfile("uvicorn mysite.asgi:application")}

    ran = smoke(site(tmp_path, files))

    assert ran.returncode == 1
    assert "DEBUG is on in mysite.settings" in ran.stdout


def test_an_error_page_is_a_problem(tmp_path: Path) -> None:
    broken = FLASK["shop.py"].replace("return f", "raise RuntimeError  # f")

    code, found = result(site(tmp_path, {"shop.py": broken, **procfile("bridge run shop:app")}))

    assert code == 1
    assert found["pages"]["/"] == 500
    assert found["problems"] == ["/ is answered with 500"]


def test_a_server_that_does_not_start_is_reported_with_its_last_line(tmp_path: Path) -> None:
    broken = "raise RuntimeError('no broker')\n" + FLASK["shop.py"]

    ran = smoke(site(tmp_path, {"shop.py": broken, **procfile("uvicorn shop:app")}))

    assert ran.returncode == 1
    assert "the server ended before it answered: RuntimeError: no broker" in ran.stdout


def test_a_missing_server_is_reported_with_its_environment(tmp_path: Path) -> None:
    folder = site(tmp_path, {**FLASK, **procfile("bridge run shop:app")})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)

    ran = smoke(folder, PYTHONPATH="")

    assert ran.returncode == 1
    assert "No module named bridge" in ran.stdout
    assert str(folder / ".venv") in ran.stdout


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, (), "no deploy file starts an ASGI server"),
        (procfile("gunicorn shop:app"), (), "fix --write --unsafe-fixes"),
        (procfile("bridge run shop:app"), ("--no-introspect",), "--no-introspect does not run"),
        (procfile("bridge run shop:app --port {x"), ("--update-baseline",), "--update-baseline"),
    ],
)
def test_what_cannot_be_tested_is_an_error(
    files: dict[str, str], arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    ran = smoke(site(tmp_path, {**FLASK, **files}), *arguments)

    assert ran.returncode == 2
    assert message in ran.stderr


def test_nothing_of_the_server_is_left(tmp_path: Path) -> None:
    """Its group ends, and so does what a worker has started in it."""
    started = (
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        "open('child', 'w').write(str(child.pid))\n"
    )
    files = {"shop.py": started + FLASK["shop.py"], **procfile("bridge run shop:app")}
    folder = site(tmp_path, files)

    code, _ = result(folder)

    assert code == 0
    stat = Path("/proc", (folder / "child").read_text(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
