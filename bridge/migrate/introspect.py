"""Have the project tell about itself: in a subprocess, under its own interpreter.

What enters: a project and an interpreter. What leaves: :class:`~bridge.migrate.facts.Facts`, or an
:class:`IntrospectionFailed` that says in one line what went wrong. The subprocess is ended, with
all that it started, when its time is over.

Nothing is written to the project: ``PYTHONDONTWRITEBYTECODE`` is set.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.facts import Facts
from bridge.migrate.project import Project

__all__ = ["DEFAULT_TIMEOUT_S", "IntrospectionFailed", "interpreter_of", "introspect"]

DEFAULT_TIMEOUT_S = 60.0
_SCRIPT = Path(__file__).with_name("introspect_script.py")


class IntrospectionFailed(MigrationError):
    """The project could not be asked. Says why, and how to go on without."""


def interpreter_of(project: Project) -> Path:
    """The project's own interpreter: of its virtual environment, of the active one, else ours."""
    folders = [
        folder / name for folder in (project.base, project.root) for name in (".venv", "venv")
    ]
    active = os.environ.get("VIRTUAL_ENV")
    for folder in [*folders, *([Path(active)] if active else [])]:
        for name in ("bin/python", "Scripts/python.exe"):
            if (folder / name).is_file():
                return folder / name
    return Path(sys.executable)


def introspect(
    project: Project, python: Path | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Facts:
    """Ask the project.

    :param python: its interpreter; looked for if not given.
    :param timeout_s: seconds it may take.
    :raises IntrospectionFailed: it could not be started, failed, or took longer.
    """
    python = python or interpreter_of(project)
    with tempfile.TemporaryDirectory(prefix="bridge-migrate-") as folder:
        out = Path(folder, "facts.json")
        errors = _run(project, python, out, timeout_s)
        try:
            return Facts.from_json(json.loads(out.read_text("utf-8")))
        except (OSError, ValueError):
            raise IntrospectionFailed(_failure(project, python, errors)) from None


def _run(project: Project, python: Path, out: Path, timeout_s: float) -> str:
    """Run the script. What it wrote to stderr comes back."""
    process = _start(project, python, out)
    try:
        _, errors = process.communicate(_SCRIPT.read_bytes(), timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        raise IntrospectionFailed(
            f"django.setup() of {project.settings_module} was not done after {timeout_s:g} s. "
            f"{_WITHOUT}"
        ) from None
    except BaseException:
        _end(process)
        raise
    return errors.decode("utf-8", "replace")


def _start(project: Project, python: Path, out: Path) -> subprocess.Popen[bytes]:
    own = {
        "DJANGO_SETTINGS_MODULE": project.settings_module or "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    try:
        return subprocess.Popen(
            [str(python), "-", str(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=project.base,
            env={**os.environ, **own},
            start_new_session=True,
        )
    except OSError as error:
        raise IntrospectionFailed(
            f"{python} cannot be run: {error.strerror}. Name the project's interpreter with "
            f"--python. {_WITHOUT}"
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.communicate()


_WITHOUT = "--no-introspect checks the sources alone"


def _failure(project: Project, python: Path, errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it ended without a word"
    hint = ""
    if last.startswith("ModuleNotFoundError"):
        hint = (
            " If that is installed elsewhere, name the project's interpreter with --python; if it "
            "is in a folder of the project, put that on PYTHONPATH."
        )
    return (
        f"the project cannot be set up by {python} with {project.settings_module}: {last}.{hint} "
        f"{_WITHOUT}"
    )
