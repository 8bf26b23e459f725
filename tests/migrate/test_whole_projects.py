"""A whole Django project responds after ``bridge migrate fix --write`` as it did under gunicorn.

The suite runs it with the installed Django, ``nox -s migrate_projects`` with each supported one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.migrate.starting import started
from tests.migrate.whole_project import PASSWORD, USER, build

HOST = "shop.test"
PAGES = (
    *("/", "/about/?a=%C3%A9&b", "/stream/", "/file/", "/clock/", "/whoami/", "/missing/"),
    *("/api/", "/api/notes/", "/api/notes/?format=json", "/accounts/login/", "/admin/login/"),
    *("/static/admin/css/base.css", "/static/missing.css", "/admin"),
)
OWN_HEADERS = {
    *("date", "expires", "server", "content-length", "transfer-encoding", "connection"),
    "set-cookie",
}
TOKENS = re.compile(r'(csrfmiddlewaretoken" value=|csrfToken["&quot;]*: )[&quot;"]*\w+')


@dataclass(frozen=True)
class Answer:
    """The parts of a response that must not change."""

    status: int
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...]
    text: str


def answer(response: httpx.Response) -> Answer:
    kept = [(k, v) for k, v in response.headers.multi_items() if k not in OWN_HEADERS]
    text = TOKENS.sub("TOKEN", response.text)
    if response.status_code == 404:  # with DEBUG it shows the environment
        text = ""
    return Answer(response.status_code, tuple(sorted(kept)), tuple(sorted(response.cookies)), text)


def visit(port: int) -> dict[str, Answer]:
    """The responses to all requests of a visitor."""
    found: dict[str, Answer] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST}) as client:
        client.timeout = httpx.Timeout(60)
        for page in PAGES:
            found[page] = answer(client.get(page))
        found["HEAD /"] = answer(client.head("/"))
        found["CORS"] = answer(client.get("/api/", headers={"Origin": "https://elsewhere.test"}))
        found["preflight"] = answer(client.options("/api/notes/", headers=PREFLIGHT))
        found["POST"] = answer(client.post("/api/notes/", json={"text": "né"}))
        found["PUT"] = answer(client.put("/api/notes/2/", content=b"{", headers=JSON))
        found["DELETE"] = answer(client.delete("/api/notes/2/"))
        toolbar = client.get("/toolbar/")
        found["toolbar"] = Answer(toolbar.status_code, (), (), str("djDebug" in toolbar.text))
        found["login"] = answer(login(client))
        found["logged in"] = answer(client.get("/whoami/"))
    return found


PREFLIGHT = {
    "Origin": "https://elsewhere.test",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}
JSON = {"Content-Type": "application/json"}


def login(client: httpx.Client) -> httpx.Response:
    form = client.get("/accounts/login/")
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', form.text)
    assert token is not None, form.text
    data = {"login": USER, "password": PASSWORD, "csrfmiddlewaretoken": token.group(1)}
    return client.post("/accounts/login/", data=data)


def answers(folder: Path) -> dict[str, Answer]:
    """The responses of the server that the Procfile starts."""
    with started(folder, ready_path="/clock/") as server:
        return visit(server.port)


def migrate(folder: Path, target: str) -> str:
    """``bridge migrate fix --write``, including the start command, twice."""
    arguments = ["fix", ".", "--target", target, "--write", "--unsafe-fixes"]
    outputs = []
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-m", "bridge", "migrate", *arguments, "--fail-level", "never"],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        outputs.append(ran.stderr)
    assert "Nothing to fix." in outputs[1]
    return outputs[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("whole") / "before"
    folder.mkdir()
    build(folder)
    return folder


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, Answer]:
    """The responses of the project under gunicorn."""
    copy = project.with_name("wsgi")
    shutil.copytree(project, copy)
    return answers(copy)


def test_the_project_is_whole(before: dict[str, Answer]) -> None:
    """The responses compared below are not error pages."""
    statuses = {name: each.status for name, each in before.items()}
    assert statuses["/"] == statuses["/static/admin/css/base.css"] == statuses["preflight"] == 200
    assert (statuses["POST"], statuses["login"], before["logged in"].text) == (201, 302, USER)
    assert before["toolbar"].text == "True"
    assert ("access-control-allow-origin", "https://elsewhere.test") in before["CORS"].headers


@pytest.mark.parametrize(
    ("target", "has_asgi"), [("native", True), ("bridge", False), ("bridge", True)]
)
def test_it_answers_as_before(
    project: Path, before: dict[str, Answer], target: str, has_asgi: bool
) -> None:
    copy = project.with_name(f"{target}-{has_asgi}")
    shutil.copytree(project, copy)
    if not has_asgi:
        (copy / "mysite" / "asgi.py").unlink()
    migrate(copy, target)
    assert "uvicorn mysite.asgi:application" in (copy / "Procfile").read_text("utf-8")
    after = answers(copy)

    assert set(after) == set(before)
    for name, expected in before.items():
        assert after[name] == expected, name
