"""Whether `bridge` can be installed for a project, and which fixes depend on it.

Input: a project and its interpreter. Output: the reason why pip cannot install the requirement that
fixes add; findings whose fixes add it, as unsafe ones. Asks the index that pip is configured for,
once, and only if a fix would add the requirement: an image whose requirements do not resolve is no
longer built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bridge.migrate.findings import Finding, Fix
from bridge.migrate.introspect import interpreter_of
from bridge.migrate.project import Project
from bridge.migrate.requirements import OWN_PACKAGE, is_requirements_file, own_requirement

__all__ = ["adds_bridge", "as_unsafe", "why_not_installable"]

_TIMEOUT_S = 120.0
_PIP = ("-m", "pip", "--no-input", "--disable-pip-version-check", "--retries", "1")
_DOWNLOAD = (*_PIP, "--timeout", "10", "download", "--no-deps", "--no-cache-dir", "--quiet")
_COMPILE = ("pip", "compile", "--no-deps", "--no-header", "--quiet")
_UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|ConnectTimeout|ReadTimeout|Could not resolve host|"
    r"Temporary failure in name resolution|Failed to establish a new connection|"
    r"error sending request|dns error"
)


def adds_bridge(fix: Fix | None) -> bool:
    """Whether a fix adds `bridge` to a list of requirements."""
    return fix is not None and any(
        is_requirements_file(edit.path) and re.search(OWN_PACKAGE, _plain(edit.text))
        for edit in fix.edits
    )


def _plain(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def as_unsafe(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, with unsafe fixes where they add `bridge`."""
    return tuple(
        replace(each, fix=replace(each.fix, safe=False))
        if each.fix is not None and adds_bridge(each.fix)
        else each
        for each in findings
    )


def why_not_installable(project: Project, python: Path | None, *, introspect: bool = True) -> str:
    """Why the requirement cannot be installed for a project; empty if it can.

    :param python: the project's interpreter; see :func:`interpreter_of` for the default.
    :param introspect: whether an interpreter that is found in the project may be run.
    """
    if python is not None or introspect:
        python = interpreter_of(project, python)
    else:
        python = Path(sys.executable)
    requirement = own_requirement(project, OWN_PACKAGE)
    with tempfile.TemporaryDirectory(prefix="bridge-migrate-") as folder:
        try:
            reason = _resolve(python, requirement, folder)
        except subprocess.TimeoutExpired:
            reason = f"no result within {_TIMEOUT_S:g} s"
        except OSError as error:
            reason = f"{python} cannot be run: {error.strerror}"
    if not reason:
        return ""
    return (
        f"{requirement} cannot be installed ({reason}), so fixes that add it to the requirements "
        f"are unsafe. Name where it comes from: --requirement '{OWN_PACKAGE} @ URL', with the URL "
        "of a wheel or of a repository (git+https://...)"
    )


def _resolve(python: Path, requirement: str, folder: str) -> str:
    """Let pip download the requirement, without what it requires; in an environment without pip,
    let uv resolve it.

    :returns: the reason why that failed; empty if it did not.
    """
    command = [str(python), *_DOWNLOAD, "--dest", folder, requirement]
    ran = _run(command, folder)
    uv = os.environ.get("UV") or shutil.which("uv")
    if "No module named pip" in ran.stderr and uv is not None:
        ran = _run([uv, *_COMPILE, "--python", str(python), "-"], folder, requirement)
    if ran.returncode == 0:
        return ""
    if _UNREACHABLE.search(ran.stderr):
        return "the index cannot be reached"
    lines = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    last = (errors or lines or [f"exit code {ran.returncode}"])[-1]
    return re.sub(r"^error: ", "", last, flags=re.IGNORECASE)


def _run(command: list[str], folder: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool in an empty folder: Python imports modules from the current one."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "UV_HTTP_RETRIES": "1"},
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
