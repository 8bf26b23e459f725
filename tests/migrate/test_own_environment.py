"""``bridge migrate`` needs nothing of the project's environment: pipx and uvx give it its own.

``nox -s migrate_elsewhere`` runs it in a real environment of its own, on projects of older Pythons.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.migrate.sites import DJANGO, procfile

BLOCKED = ("django", "flask", "werkzeug", "uvicorn", "gunicorn", "starlette", "pip")
"""What the environment of the tool does not have."""
TOOL = (
    f"import sys; sys.modules.update(dict.fromkeys({BLOCKED}))\n"
    "from bridge.cli.__main__ import main; main()"
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in {**DJANGO, **procfile("gunicorn mysite.wsgi")}.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment that has Django."""
    folder = tmp_path / "project environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "django.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


def migrate(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TOOL, "migrate", *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "VIRTUAL_ENV": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_check_introspects_the_project_in_its_environment(site: Path, python: Path) -> None:
    ran = migrate(site, "check", ".", "--python", python, "--format", "json")

    assert ran.returncode == 1, ran.stderr
    report = json.loads(ran.stdout)
    assert report["introspected"] is True
    assert "E107" in [each["rule"] for each in report["findings"]]


@pytest.mark.parametrize("name", ["{}", "python-of-shop"])
def test_the_interpreter_may_be_a_relative_path_or_a_name_on_the_path(
    name: str, site: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path starts from the current folder, not from that of the project."""
    (python.parent / "python-of-shop").symlink_to(python)
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    named = name.format(python.relative_to(site.parent))

    ran = migrate(site.parent, "check", "project", "--python", named, "--format", "json")

    assert json.loads(ran.stdout)["introspected"] is True, ran.stderr


def test_plan_and_fix_work_there_too(site: Path, python: Path) -> None:
    options = ("--python", python, "--fail-level", "never", "--target", "bridge")

    plan = migrate(site, "plan", ".", *options)
    fix = migrate(site, "fix", ".", "--select", "E107", *options)

    assert "Django " in plan.stdout.splitlines()[0]
    assert "+from bridge.contrib.django import get_asgi_application" in fix.stdout, fix.stderr


def test_an_environment_in_the_project_is_found(site: Path, python: Path) -> None:
    python.parent.parent.rename(site / ".venv")

    ran = migrate(site, "check", ".", "--format", "json", "--fail-level", "never")

    assert json.loads(ran.stdout)["introspected"] is True


def test_without_the_projects_interpreter_the_error_names_the_option(site: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", site / ".venv"], check=True)

    ran = migrate(site, "check", ".")

    assert ran.returncode == 3
    assert "No module named 'django'" in ran.stderr
    assert "--python" in ran.stderr
