"""A fix that adds bridge to the requirements is safe only where bridge can be installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import MigrationError
from bridge.migrate.configuration import read_options
from tests.harness.wheels import empty_wheel
from tests.migrate.helpers import fixed
from tests.migrate.sites import DJANGO

FILES = {**DJANGO, "requirements.txt": "django\n"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def fix(site: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``bridge migrate fix --write``, with pip set up by the environment."""
    pip = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1"}
    options = ["--target", "bridge", "--select", "E107", "--fail-level", "never", "--allow-dirty"]
    return subprocess.run(
        [sys.executable, "-m", "bridge", "migrate", "fix", site, "--write", *options, *arguments],
        env={**os.environ, **pip, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def requirements(site: Path) -> str:
    return (site / "requirements.txt").read_text()


def test_a_fix_is_safe_where_an_index_has_bridge(site: Path, wheel: Path) -> None:
    ran = fix(site, PIP_FIND_LINKS=str(wheel.parent))

    assert "1 fix written" in ran.stderr, ran.stderr
    assert requirements(site) == "wsgi-asgi-bridge\ndjango\n"


def test_a_fix_is_unsafe_where_no_index_has_it(site: Path) -> None:
    ran = fix(site)

    assert requirements(site) == "django\n"
    assert "No safe fix; 1 with --unsafe-fixes." in ran.stderr
    assert "wsgi-asgi-bridge cannot be installed" in ran.stderr
    assert "--requirement" in ran.stderr

    ran = fix(site, "--unsafe-fixes")
    assert requirements(site) == "wsgi-asgi-bridge\ndjango\n"
    assert "wsgi-asgi-bridge cannot be installed" in ran.stderr


def test_without_a_network_the_reason_is_clear(site: Path) -> None:
    """An index at a port that nothing listens on."""
    ran = fix(site, PIP_NO_INDEX="0", PIP_INDEX_URL="http://127.0.0.1:9/simple")

    assert requirements(site) == "django\n"
    assert "the index cannot be reached" in ran.stderr


def test_a_named_requirement_is_written_and_resolved(site: Path, wheel: Path) -> None:
    named = f"wsgi-asgi-bridge @ {wheel.as_uri()}"

    ran = fix(site, "--requirement", named)

    assert "1 fix written" in ran.stderr, ran.stderr
    assert requirements(site) == f"{named}\ndjango\n"


def test_a_named_requirement_that_does_not_resolve_is_unsafe(site: Path, tmp_path: Path) -> None:
    ran = fix(site, "--requirement", f"wsgi-asgi-bridge @ {(tmp_path / 'missing.whl').as_uri()}")

    assert requirements(site) == "django\n"
    assert "cannot be installed" in ran.stderr


def test_an_interpreter_in_the_project_is_not_run_without_introspection(site: Path) -> None:
    python = site / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ran >> ran\nexit 1\n")
    python.chmod(0o755)

    assert "wsgi-asgi-bridge cannot be installed" in fix(site, "--no-introspect").stderr
    assert not list(site.rglob("ran"))


def test_without_pip_uv_resolves_it(site: Path, tmp_path: Path) -> None:
    """A program that stands for uv: it needs the arguments of ``uv pip compile``."""
    uv, python = tmp_path / "tools" / "uv", tmp_path / "tools" / "python"
    uv.parent.mkdir()
    uv.write_text('#!/bin/sh\n[ "$1 $2" = "pip compile" ] && grep -q "^wsgi-asgi-bridge"\n')
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    uv.chmod(0o755)
    python.chmod(0o755)
    path = f"{uv.parent}{os.pathsep}{os.environ['PATH']}"

    fix(site, "--no-introspect", "--python", str(python), PATH=path, UV="")

    assert requirements(site) == "wsgi-asgi-bridge\ndjango\n"


def test_other_fixes_do_not_ask_an_index(site: Path) -> None:
    (site / "requirements.txt").unlink()

    ran = fix(site)

    assert "1 fix written" in ran.stderr
    assert "cannot be installed" not in ran.stderr


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("django", "must be a requirement of wsgi-asgi-bridge"),
        ("./bridge.whl", "must be a requirement of wsgi-asgi-bridge"),
        ("wsgi-asgi-bridge @", "must be a requirement of wsgi-asgi-bridge"),
        ("wsgi-asgi-bridge\n-r other.txt", "must be a requirement of wsgi-asgi-bridge"),
    ],
)
def test_an_invalid_requirement_is_an_error(tmp_path: Path, requirement: str, message: str) -> None:
    with pytest.raises(MigrationError, match=message):
        read_options(tmp_path, {"requirement": requirement})


# -- where it is written ---------------------------------------------------------------------------

GIT = "wsgi-asgi-bridge @ git+https://git.example/bridge.git@v1"
APP = "from asgiref.wsgi import WsgiToAsgi\n\nflask_app = print\napp = WsgiToAsgi(flask_app)\n"


@pytest.mark.parametrize(
    ("name", "text", "requirement", "after"),
    [
        ("requirements.txt", "flask\n", GIT, f"{GIT}\nflask\n"),
        ("requirements.txt", "flask\n", "wsgi_asgi.bridge>=1", "wsgi_asgi.bridge>=1\nflask\n"),
        (
            "pyproject.toml",
            '[project]\nname = "a"\ndependencies = ["flask"]\n',
            GIT,
            f'[project]\nname = "a"\ndependencies = ["{GIT}", "flask"]\n',
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\nflask = "*"\n',
            GIT,
            "[tool.poetry.dependencies]\nwsgi-asgi-bridge = {git = "
            '"https://git.example/bridge.git", rev = "v1"}\nflask = "*"\n',
        ),
        (
            "Pipfile",
            '[packages]\nflask = "*"\n',
            GIT,
            '[packages]\nwsgi-asgi-bridge = {git = "https://git.example/bridge.git", ref = "v1"}\n'
            'flask = "*"\n',
        ),
        (
            "Pipfile",
            '[packages]\nflask = "*"\n',
            "wsgi-asgi-bridge @ https://files.example/b.whl",
            '[packages]\nwsgi-asgi-bridge = {file = "https://files.example/b.whl"}\nflask = "*"\n',
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\nflask = "*"\n',
            "wsgi-asgi-bridge==1.2",
            '[tool.poetry.dependencies]\nwsgi-asgi-bridge = "==1.2"\nflask = "*"\n',
        ),
    ],
)
def test_each_kind_of_list_gets_it_in_its_own_form(
    name: str, text: str, requirement: str, after: str
) -> None:
    result = fixed({"main.py": APP, name: text}, "A802", unsafe=False, requirement=requirement)

    assert result[name] == after


def test_extras_are_kept_with_a_named_requirement() -> None:
    files = {
        "app.py": "app = print\n",
        "Procfile": "web: gunicorn app:app --bind :8000\n",
        "requirements.txt": "gunicorn\n",
    }

    after = fixed(files, "X501", target="bridge", requirement=GIT)

    assert after["requirements.txt"].startswith("wsgi-asgi-bridge[cli,uvicorn] @ git+https")
