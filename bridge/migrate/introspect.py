"""Introspects a project: runs a script in a subprocess, under the project's own interpreter.

Input: a project and an interpreter. Output: :class:`~bridge.migrate.facts.Facts`, or an
:class:`IntrospectionFailed` with a reason of one line. On a timeout the subprocess is killed, with
its children.

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
    """Introspection failed. The message has the reason, and the option to continue without it."""


def interpreter_of(project: Project) -> Path:
    """The interpreter of the project's virtual environment, of the active one, or this one."""
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
    """Introspect a project.

    :param python: its interpreter; see :func:`interpreter_of` for the default.
    :param timeout_s: in seconds.
    :raises IntrospectionFailed: the interpreter could not start, the project failed, or it timed
        out.
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
    """Run the script.

    :returns: its stderr.
    """
    process = _start(project, python, out)
    try:
        _, errors = process.communicate(_SCRIPT.read_bytes(), timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise IntrospectionFailed(
            f"django.setup() with {project.settings_module} did not finish within {timeout_s:g} s. "
            f"{_HINT}"
        ) from None
    except BaseException:
        _kill(process)
        raise
    return errors.decode("utf-8", "replace")


def _start(project: Project, python: Path, out: Path) -> subprocess.Popen[bytes]:
    variables = {
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
            env={**os.environ, **variables},
            start_new_session=True,
        )
    except OSError as error:
        raise IntrospectionFailed(
            f"{python} cannot be run: {error.strerror}. Pass the project's interpreter with "
            f"--python. {_HINT}"
        ) from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it and its children."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.communicate()


_HINT = "Use --no-introspect to check the sources only"


def _failure(project: Project, python: Path, errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else "the process exited without an error message"
    hint = ""
    if reason.startswith("ModuleNotFoundError"):
        hint = (
            " If the module is installed elsewhere, pass the project's interpreter with --python; "
            "if it is in a folder of the project, add the folder to PYTHONPATH."
        )
    return (
        f"django.setup() with {project.settings_module} failed under {python}: {reason}.{hint} "
        f"{_HINT}"
    )
