"""Serves one application in several ways, visits each, and compares what they answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.harness.http import Response
from tests.harness.servers import serve
from tests.incumbents.case import Case, Serving
from tests.incumbents.exchanges import differences, visit
from tests.incumbents.page import recipes

__all__ = ["SITES", "compare"]

SITES = Path(__file__).with_name("sites")
START_TIMEOUT_S = 300.0
LOG_SHOWN = 4000  # characters
PREPARE_TIMEOUT_S = 900.0


def compare(case: Case, python: Path, folder: Path) -> dict[str, dict[int, list[str]]]:
    """Serve a case in each of its ways.

    :param python: the interpreter of the environment of the case.
    :returns: the serving, except the first -> the number of the step -> how its response differs.
    :raises ServerFailed: a server did not start.
    """
    prepared = folder / case.name / "prepared"
    prepared.mkdir(parents=True)
    write_files(prepared)
    for command in case.prepare:
        _prepare(command, python, prepared, environment_of(case, python, prepared))
    answers: dict[str, list[Response]] = {}
    for name, serving in case.servings.items():
        home = prepared.with_name(name)
        shutil.copytree(prepared, home)
        answers[name] = answers_of(case, serving, python, home)
    first, *others = case.servings
    unexpected = [
        f"{step}: {answers[step.like or first][number].status}"
        for number, step in enumerate(case.steps)
        if answers[step.like or first][number].status != step.status
    ]
    assert not unexpected, f"{case.name} without bridge: {unexpected}"
    return {name: _different(case, first, name, answers) for name in others}


def _prepare(command: Sequence[str], python: Path, folder: Path, env: Mapping[str, str]) -> None:
    """Run a command of the application's environment, and show its output only if it fails."""
    ran = subprocess.run(
        [str(python.with_name(command[0])), *command[1:]],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PREPARE_TIMEOUT_S,
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}"


def _different(
    case: Case, first: str, name: str, answers: dict[str, list[Response]]
) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for number, step in enumerate(case.steps):
        expected = answers[step.like or first][number]
        lines = list(differences(step, expected, answers[name][number], case.varying))
        if lines:
            found[number] = lines
    return found


def answers_of(case: Case, serving: Serving, python: Path, home: Path) -> list[Response]:
    """Start a server in the folder ``home``, and visit it."""
    env = environment_of(case, python, home)
    changed = {name: value for name, value in env.items() if os.environ.get(name) != value}
    with serve(
        serving.server,
        serving.target,
        env={name: value for name, value in changed.items() if name != "PYTHONPATH"},
        args=serving.args,
        cwd=home,
        ready_path=case.ready_path,
        python=python,
        start_timeout_s=START_TIMEOUT_S,
    ) as server:
        answers = visit(server.port, case.steps)
        visited = zip(case.steps, answers, strict=True)
        failed = [str(step) for step, each in visited if each.status >= 500 > step.status]
        if failed:
            print(f"{case.name} on {serving.server}: {failed}\n{server.log()[-LOG_SHOWN:]}")
        return answers


def environment_of(case: Case, python: Path, home: Path) -> dict[str, str]:
    """The environment variables of an application: ``{folder}`` is the folder it is served in."""
    own = {name: value.format(folder=home) for name, value in case.env.items()}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    fixed = {"PYTHONPATH": f"{home}{os.pathsep}{ROOT}", "PYTHONHASHSEED": "0"}  # sets have an order
    return {**os.environ, "PATH": path, **fixed, **own}


def write_files(folder: Path) -> None:
    """Write the sites of today, and the recipes of the page."""
    for site in SITES.glob("*.*"):
        shutil.copy(site, folder)
    for name, code in recipes().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
