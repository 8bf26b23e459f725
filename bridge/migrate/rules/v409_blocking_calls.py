"""Blocking calls in async code: ``time.sleep``, ``requests.get``, ``subprocess.run``, ``open``.

While one of them waits, the event loop waits too: no request of the process is answered, and no
WebSocket receives anything. ruff's ASYNC2 rules find them; the extra ``[migrate]`` installs ruff.
Its own ``# noqa: ASYNC251`` is respected too.

Before::

    async def rates(request):
        answer = requests.get(URL, timeout=5)

After::

    async def rates(request):
        async with httpx.AsyncClient() as client:
            answer = await client.get(URL, timeout=5)
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.migrate.findings import Finding, Severity
from bridge.migrate.functions import is_test
from bridge.migrate.own_loops import runs_on_own_loop
from bridge.migrate.rule import Rule
from bridge.migrate.text import CannotRead

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_TIMEOUT_S = 120.0
_FILES_PER_RUN = 200
_OPTIONS = ("check", "--isolated", "--no-cache", "--exit-zero", "--quiet", "--no-fix")
_RULES = ("--select", "ASYNC210,ASYNC212,ASYNC22,ASYNC230,ASYNC250,ASYNC251")
_HELP = {
    "ASYNC210": "use an async client, such as httpx.AsyncClient",
    "ASYNC212": "use httpx.AsyncClient",
    "ASYNC220": "use asyncio.create_subprocess_exec",
    "ASYNC221": "use asyncio.create_subprocess_exec",
    "ASYNC222": "use asyncio.create_subprocess_exec",
    "ASYNC230": "open it in a function that is called with sync_to_async",
    "ASYNC250": "read from the terminal in a thread",
    "ASYNC251": "use await asyncio.sleep(...)",
}
_INSTALL = 'pip install "wsgi-asgi-bridge[migrate]", or ruff alone'


class BlockingCalls(Rule):
    """See the module's docstring."""

    code = "V409"
    name = "blocking-call-in-async"
    summary = "a blocking call in async code: no other request is answered meanwhile"
    native = Severity.WARNING
    bridge = Severity.WARNING

    def is_detail(self, finding: Finding, project: Project) -> bool:
        module = project.module_at(finding.path)
        return module is not None and runs_on_own_loop(project, module, finding.line)

    def check_project(self, project: Project) -> Iterator[Finding]:
        modules = list(_with_async_code(project))
        if not modules:
            return
        ruff = find_ruff()
        if ruff is None:
            yield self._missing(project, "ruff is not installed", len(modules))
            return
        try:
            found = list(_ruff_findings(ruff, project, modules))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            yield self._missing(project, f"ruff failed ({_reason(error)})", len(modules))
            return
        for each in found:
            yield from self._finding(project, each)

    def _missing(self, project: Project, why: str, count: int) -> Finding:
        files = "1 file with async code was" if count == 1 else f"{count} with async code were"
        return self.at_line(
            project.root,
            0,
            f"{why}: {files} not searched for blocking calls",
            _INSTALL,
            severity=(Severity.INFO, Severity.INFO),
        )

    def _finding(self, project: Project, data: dict[str, Any]) -> Iterator[Finding]:
        module = project.module_at(data["filename"])
        code = data["code"]
        if module is None or code not in _HELP:
            return  # for example a syntax error that only ruff reports
        line, column = data["location"]["row"], data["location"]["column"]
        message = str(data["message"]).replace("`", "")
        yield self.at_line(
            module.path,
            line,
            f"{message}: no other request is answered while it waits (ruff {code})",
            _HELP[code],
            line_text=module.line(line),
            column=column,
            source=self.sources[0],
        )


def _reason(error: Exception) -> str:
    """A short reason. The command of the error would name every file."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr).strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no result after {_TIMEOUT_S:g} s"
    return str(error)


def _with_async_code(project: Project) -> Iterator[Module]:
    """The modules whose text has ``async def``. They are not parsed here: ruff does that."""
    for module in project.modules:
        try:
            if "async def" in module.text and not is_test(module):
                yield module
        except CannotRead:
            continue  # reported when the file itself is checked


def find_ruff() -> str | None:
    """The path of ruff: from this interpreter's environment, else from ``PATH``."""
    return shutil.which("ruff", path=sysconfig.get_path("scripts")) or shutil.which("ruff")


def _ruff_findings(
    ruff: str, project: Project, modules: Sequence[Module]
) -> Iterator[dict[str, Any]]:
    """What ruff finds in these files, including changes that are not written yet."""
    unchanged = [each.path for each in modules if _is_unchanged(project, each)]
    for start in range(0, len(unchanged), _FILES_PER_RUN):
        paths = [str(path) for path in unchanged[start : start + _FILES_PER_RUN]]
        yield from _run([ruff, *_OPTIONS, *_RULES, "--output-format", "json", "--", *paths])
    for module in modules:
        if module.path not in unchanged:
            name = ["--stdin-filename", str(module.path), "-"]
            command = [ruff, *_OPTIONS, *_RULES, "--output-format", "json", *name]
            yield from _run(command, module.text)


def _is_unchanged(project: Project, module: Module) -> bool:
    try:
        original = project.original(Path(module.path))
    except CannotRead:
        return False
    return original is not None and original.text == module.text


def _run(command: list[str], text: str | None = None) -> Iterator[dict[str, Any]]:
    done = subprocess.run(
        command,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
        check=True,
    )
    yield from json.loads(done.stdout or "[]")
