"""Introspects a project: runs a script in a subprocess, under the project's own interpreter.

Input: a project and an interpreter. Output: :class:`~bridge.migrate.facts.Facts`, or an
:class:`IntrospectionFailed` with a reason of one line.

1. The facts are read as soon as the script has written them. What the project has started meanwhile
   (a thread, a child process that inherits stderr, an exit handler) may run for ever.
2. Then the process gets :data:`_EXIT_S` seconds to end, and is killed with its process group. So it
   is on a timeout.
3. Nothing is written to the project: ``PYTHONDONTWRITEBYTECODE`` is set.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from bridge.errors import MigrationError
from bridge.migrate.facts import Facts
from bridge.migrate.processes import kill
from bridge.migrate.project import Project

__all__ = ["DEFAULT_TIMEOUT_S", "IntrospectionFailed", "interpreter_of", "introspect"]

DEFAULT_TIMEOUT_S = 60.0
_POLL_S = 0.02
_EXIT_S = 0.5
_SCRIPT = Path(__file__).with_name("introspect_script.py")


class IntrospectionFailed(MigrationError):
    """Introspection failed. The message has the reason, and the option to continue without it."""


def interpreter_of(project: Project, python: Path | None = None) -> Path:
    """The interpreter of the project's virtual environment, of the active one, or this one.

    :param python: the one to use instead: a path, absolute or from the current folder, or a name
        that is on ``PATH``.
    """
    if python is not None:
        return python if len(python.parts) == 1 else python.absolute()
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
    project: Project,
    python: Path | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    targets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Facts:
    """Introspect a project.

    :param python: its interpreter; see :func:`interpreter_of` for the default.
    :param timeout_s: in seconds.
    :param targets: the apps to import, as ``mysite.wsgi:application``.
    :param environment: the variables of the deployment, over those of this process; those that
        choose the interpreter and its modules are left out.
    :raises IntrospectionFailed: the interpreter could not start, the project failed, or it timed
        out.
    """
    python = interpreter_of(project, python)
    with tempfile.TemporaryDirectory(prefix="bridge-migrate-") as folder:
        out, errors = Path(folder, "facts.json"), Path(folder, "stderr")
        with errors.open("wb") as file, _SCRIPT.open("rb") as script:
            argv = [str(python), "-", str(out), *targets]
            process = _start(project, argv, _safe(environment or {}), script, file)
        try:
            _wait_for(process, out, timeout_s, project)
        finally:
            _end(process)
        try:
            return Facts.from_json(json.loads(out.read_text("utf-8")))
        except (OSError, ValueError):
            text = errors.read_text("utf-8", "replace")
            raise IntrospectionFailed(_failure(project, python, text)) from None


_CHOOSES_PYTHON = re.compile(r"PATH|HOME|SHELL|PWD|USER|TMPDIR|VIRTUAL_ENV|(PYTHON|LD_|DYLD_).*")


def _safe(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of the machine: the paths of a container are not here."""
    return {
        name: value
        for name, value in environment.items()
        if not _CHOOSES_PYTHON.fullmatch(name) and "\0" not in value
    }


def _start(
    project: Project,
    argv: list[str],
    environment: Mapping[str, str],
    stdin: IO[bytes],
    stderr: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start the script. Its stderr is a file: the end of a pipe would wait for its children."""
    variables = {
        "DJANGO_SETTINGS_MODULE": project.settings_module or "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=project.base,
            env={**os.environ, **environment, **variables},
            start_new_session=True,
        )
    except OSError as error:
        raise IntrospectionFailed(
            f"{argv[0]} cannot be run: {error.strerror}. Pass the project's interpreter with "
            f"--python. {_HINT}"
        ) from None


def _wait_for(
    process: subprocess.Popen[bytes], out: Path, timeout_s: float, project: Project
) -> None:
    """Wait until the script has written its output, or has ended without it."""
    deadline = time.monotonic() + timeout_s
    while not out.exists():
        try:
            process.wait(_POLL_S)
            return
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise IntrospectionFailed(
                    f"django.setup() with {project.settings_module} did not finish within "
                    f"{timeout_s:g} s. {_HINT}"
                ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the process end by itself if it does so soon; then kill whatever it has left."""
    try:
        process.wait(_EXIT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill(process)


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
