"""Runs the code of one page: ``python -m tests.docs.page docs/tutorial/flask.md``.

Input: the path of a page. Exits with code 0 if all of its code works as the page shows; otherwise
with a traceback whose last entry points into the page. Runs in a separate process and folder, on
the main thread.

Rule 1. The ``python`` blocks of a page are one program, in order. A block with a caption is a file
        of that name instead; a later command, or the app in it, must use the file.
Rule 2. A block that defines ``app`` or ``application`` gets a request through bridge; a file that
        does gets it in a separate process (`tests.docs.request_app`).
Rule 3. A function ``test_...`` that a block defines is called.
Rule 4. ``pycon`` blocks are doctests.
Rule 5. A server command in a ``console`` block starts that server on a free port, and one request
        is sent to it. The server runs until the next one starts, for the commands that follow.
Rule 6. All other commands are run, and must print what the page shows, except ``pip`` and ``make``:
        only their extras and targets are checked. ``pip wheel ... FOLDER PROJECT`` writes an empty
        wheel of bridge to that folder.
Rule 7. An ``nginx`` block runs nginx in front of that server, for the commands that follow. In it,
        ``/srv/site`` and ``/run/site`` are the folder of the page.
Rule 8. A block with a caption in any other language is written to its file.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from configparser import ConfigParser
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.console import (
    Command,
    at_port,
    commands_of,
    matches,
    missing_lines,
    server_arguments,
)
from tests.docs.nginx import nginx
from tests.docs.request_app import APPS, request_app
from tests.docs.unix_socket import served_on
from tests.harness.http import Http1Client
from tests.harness.servers import Address, Server, ServerSpec, serve
from tests.harness.wheels import empty_wheel

__all__ = ["PageRun", "run"]

COMMAND_TIMEOUT_S = 120.0
LOG_TIMEOUT_S = 30.0
POLL_S = 0.02


def run(page: Path) -> None:
    """Run every block of ``page``.

    :raises AssertionError: something does not work as the page shows.
    """
    with tempfile.TemporaryDirectory(prefix="bridge-docs-") as folder, ExitStack() as stack:
        stack.callback(os.chdir, os.getcwd())
        os.chdir(folder)
        stack.enter_context(PageRun(page)).run_blocks()


@dataclass
class PageRun:
    """The run of one page, in the current directory."""

    page: Path
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    server: Server | None = None
    nginx_port: int | None = None
    _unused_files: list[str] = field(default_factory=list)
    _serving: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> PageRun:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_serving()

    def run_blocks(self) -> None:
        steps: dict[str, Callable[[Block], None]] = {
            "python": self._python,
            "pycon": self._doctest,
            "console": self._console,
            "nginx": self._nginx,
        }
        for block in blocks_of(self.page.read_text("utf-8")):
            if not block.is_run:
                continue
            if block.caption is not None:
                self._file(block, block.caption)
            elif block.language in steps:
                steps[block.language](block)
        assert not self._unused_files, f"nothing on the page uses {self._unused_files}"

    def _file(self, block: Block, name: str) -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code, "utf-8")
        if block.language != "python":
            return
        apps = dict.fromkeys(each for each in _defined(block.code) if each in APPS)
        if not apps:
            self._unused_files.append(name)
        for app in apps:
            module = ".".join(path.with_suffix("").parts)
            arguments = ["-W", "error", "-m", "tests.docs.request_app", f"{module}:{app}"]
            self._check([sys.executable, *arguments, block.notes.get("path", "/")], block)

    def _check(self, command: list[str], block: Block) -> None:
        ran = subprocess.run(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert ran.returncode == 0, f"{self._where(block)}: {block.caption}\n{ran.stdout}"
        self._unused_files.clear()

    def _where(self, block: Block) -> str:
        return f"{self.page}:{block.line}"

    # -- python ---------------------------------------------------------------------------------

    def _python(self, block: Block) -> None:
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        before = dict(self.namespace)
        # With blank lines before it, the code has the line numbers of the page.
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, str(self.page), "exec"), self.namespace)
        new = {k: v for k, v in self.namespace.items() if v is not before.get(k)}
        for name in APPS:
            if name in new:
                asyncio.run(request_app(new[name], block.notes.get("path", "/")))
        for name, value in new.items():
            if name.startswith("test_") and inspect.isfunction(value):
                _call_test(value)

    def _doctest(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(
            block.code, self.namespace, "pycon", str(self.page), block.line - 1
        )
        output: list[str] = []
        outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
            test, out=output.append, clear_globs=False
        )
        self.namespace.update(test.globs)
        assert not outcome.failed, "".join(output)

    # -- console --------------------------------------------------------------------------------

    def _console(self, block: Block) -> None:
        for command in commands_of(block.code):
            self._unused_files.clear()
            if command.is_server and "fails" not in block.notes:
                self._serve(command, block)
            elif command.arguments[:2] == ["pip", "wheel"]:
                empty_wheel(Path(command.arguments[-2]))
            elif command.arguments[0] == "pip":
                _check_extras(command)
            elif command.arguments[0] == "make":
                _check_targets(command)
            elif command.arguments[0] == "cd":
                os.chdir(command.arguments[1])
            elif command.arguments[0] == "export":
                given = (each.replace("$PWD", os.getcwd()) for each in command.arguments[1:])
                os.environ.update(dict(each.split("=", 1) for each in given))
            else:
                self._run(command, block)

    def _serve(self, command: Command, block: Block) -> None:
        self._stop_serving()
        if "--uds" in command.arguments:
            self._serving.enter_context(served_on(command))
            return

        def arguments(at: Address, target: str) -> list[str]:
            return server_arguments(command, at.port)

        spec = ServerSpec(command.arguments[0], "asgi", arguments)
        self.server = self._serving.enter_context(serve(spec, "", cwd=Path.cwd()))
        path = block.notes.get("path", "/")
        exchange = Http1Client(self.server.port).open("GET", path)
        head = exchange.head()
        exchange.disconnect()  # the response may be endless
        assert head.status < 400, f"{self._where(block)}: {path}: {head}\n{self.server.log()}"
        missing = _missing_from_log(self.server, at_port(command.shown, self.server.port))
        assert not missing, f"{self._where(block)}: not in the log: {missing}\n{self.server.log()}"

    def _stop_serving(self) -> None:
        self.server = self.nginx_port = None
        self._serving.close()

    def _nginx(self, block: Block) -> None:
        folder = self._serving.enter_context(tempfile.TemporaryDirectory(prefix="bridge-nginx-"))
        upstream = None if self.server is None else self.server.port
        self.nginx_port = self._serving.enter_context(nginx(block.code, Path(folder), upstream))

    def _run(self, command: Command, block: Block) -> None:
        text, shown = command.text, command.shown
        if self.server is not None:
            text, shown = at_port(text, self.server.port), at_port(shown, self.server.port)
        if self.nginx_port is not None:
            at_nginx = f"http://localhost:{self.nginx_port}/"
            text = text.replace("http://localhost/", at_nginx)
            shown = shown.replace("http://localhost/", at_nginx)
        ran = subprocess.run(
            ["sh", "-c", text],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        message = f"{self._where(block)}: $ {text}\n{ran.stdout}"
        assert (ran.returncode != 0) is ("fails" in block.notes), message
        assert matches(shown, ran.stdout), f"{message}--- but the page shows ---\n{shown}"


def _missing_from_log(server: Server, shown: str) -> list[str]:
    """The shown lines that the server does not log. Waits: some servers answer before they log."""
    deadline = time.monotonic() + LOG_TIMEOUT_S
    while (missing := missing_lines(shown, server.log())) and time.monotonic() < deadline:
        time.sleep(POLL_S)  # polling, with a deadline: a file has no event to wait for
    return missing


def _defined(code: str) -> list[str]:
    """The names that a module assigns, or defines as functions, at its top level."""
    found: list[str] = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [each.id for each in node.targets if isinstance(each, ast.Name)]
    return found


def _call_test(test: Callable[[], Any]) -> None:
    if inspect.iscoroutinefunction(test):
        asyncio.run(test())
    else:
        test()


def _check_extras(command: Command) -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for names in re.findall(r"(?:\.|/clone|wsgi-asgi-bridge)\[([^]]+)\]", command.text):
        for name in names.split(","):
            assert setup.has_option("options.extras_require", name), f"no extra {name!r}"


def _check_targets(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in command.arguments[1:]:
        assert "=" in target or f"\n{target}:" in makefile, f"no target {target!r}"


def _environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
