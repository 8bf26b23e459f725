"""A smoke test: starts the server of the deploy files once, and asks it for three pages.

Input: a project, and its interpreter. Output: a :class:`~bridge.migrate.smoke_result.Smoke`. First
a script loads the app as the server does, and reports how it is configured. Then the server runs,
under the project's own interpreter, on a free port of 127.0.0.1, with the environment that the
deploy file sets. Both are ended with their process groups. Runs on: the calling thread.
"""

from __future__ import annotations

import getpass
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bridge.migrate.introspect import interpreter_of
from bridge.migrate.listening import listening_addresses
from bridge.migrate.processes import kill, send_signal
from bridge.migrate.project import Project
from bridge.migrate.smoke_command import HOST, ServerCommand, server_command
from bridge.migrate.smoke_result import Smoke

__all__ = ["smoke"]

START_TIMEOUT_S = 60.0
_REQUEST_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 15.0
_POLL_S = 0.05
_MAX_BODY = 1 << 18
_SCRIPT = Path(__file__).with_name("smoke_script.py")
_TLS = ("--ssl-certfile", "--certfile", "--ssl-certificate")
_DJANGOS_DEBUG_PAGE = b"DEBUG = True"


def smoke(project: Project, python: Path | None = None) -> Smoke:
    """Test the server of a project.

    :param python: its interpreter; see :func:`interpreter_of` for the default.
    :raises MigrationError: no deploy file starts an ASGI server.
    """
    command = server_command(project)
    python = interpreter_of(project, python)
    with tempfile.TemporaryDirectory(prefix="bridge-migrate-") as folder:
        configuration = _configuration(project, command, python, Path(folder, "facts"))
        log = Path(folder, "log")
        with log.open("wb") as file, _started(project, command, python, file) as server:
            failure = _wait_for(server, log)
            if failure:
                where = f" (with {python})" if "No module named" in failure else ""
                return Smoke(command.shown, command.place, problems=(f"{failure}{where}",))
            return _ask(command, configuration, server)


# -- the configuration -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Configuration:
    """How the app is configured, as :mod:`bridge.migrate.smoke_script` reports it."""

    settings: str | None = None
    debug: bool | None = None
    login: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """A host that Django allows."""
        named = [each for each in self.hosts if each != "*"]
        return named[0].removeprefix(".") if named and "*" not in self.hosts else "localhost"


def _configuration(
    project: Project, command: ServerCommand, python: Path, out: Path
) -> _Configuration:
    """Run the script. An app that cannot be loaded has no configuration: its server reports why."""
    with _SCRIPT.open("rb") as script:
        process = subprocess.Popen(
            [str(python), "-", str(out), command.app],
            cwd=project.base,
            env=_environment(command, 0),
            stdin=script,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        while not out.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        kill(process)
    found = json.loads(out.read_text("utf-8")) if out.exists() else {}
    return _Configuration(**{**found, "hosts": tuple(found.get("hosts", ()))})


# -- the server ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def _started(
    project: Project, command: ServerCommand, python: Path, log: IO[bytes]
) -> Iterator[_Server]:
    """Run the server, and end it with everything it has started."""
    port = _free_port()
    process = subprocess.Popen(
        command.argv(python, port),
        cwd=project.base,
        env=_environment(command, port),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield _Server(process, port)
    finally:
        _end(process)


def _environment(command: ServerCommand, port: int) -> dict[str, str]:
    """That of the deploy file, over the caller's own. Nothing is written to the project."""
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PORT": str(port)}
    return {**os.environ, **command.environment, **own}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    send_signal(process, signal.SIGTERM)
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill(process)


def _wait_for(server: _Server, log: Path) -> str:
    """Wait until the server accepts connections.

    :returns: why it does not; empty if it does.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex((HOST, server.port)) == 0:
                return ""
        try:
            server.process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        return f"the server ended before it answered: {_last_line(log)}"
    return f"the server did not listen within {START_TIMEOUT_S:g} s: {_last_line(log)}"


def _last_line(log: Path) -> str:
    """The last line of an error in a log, else its last line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    pattern = re.compile(r"[\w.]*(Error|Exception)\b|.*No module named")
    errors = [line for line in lines if pattern.match(line)]
    return next(reversed(errors or [line for line in lines if line]), "it logged nothing")


# -- the pages -------------------------------------------------------------------------------------


def _ask(command: ServerCommand, configuration: _Configuration, server: _Server) -> Smoke:
    missing = f"/bridge-smoke-test-{uuid.uuid4().hex[:8]}"
    pages: dict[str, int | None] = {}
    problems: list[str] = []
    debug = configuration.debug
    for path in filter(None, ("/", missing, configuration.login)):
        status, body = _get(command, configuration.host, server, path)
        pages[path] = status
        if path == missing and _DJANGOS_DEBUG_PAGE in body:
            debug = True
        if status is None:
            problems.append(f"{path} is not answered: {body.decode()}")
        elif status >= 500:
            problems.append(f"{path} is answered with {status}")
    if debug:
        problems.append(f"DEBUG is on in {configuration.settings or command.app}")
    return Smoke(
        command.shown,
        command.place,
        pages,
        configuration.settings,
        debug,
        getpass.getuser(),
        tuple(listening_addresses(server.process.pid)),
        tuple(problems),
        deployed_user=command.user,
    )


def _get(command: ServerCommand, host: str, server: _Server, path: str) -> tuple[int | None, bytes]:
    """The status and the beginning of the body; None and the reason without an answer."""
    connection = _connection(command, server)
    try:
        connection.request("GET", path, headers={"Host": host, "Accept": "text/html"})
        response = connection.getresponse()
        is_stream = response.getheader("Content-Type", "").startswith("text/event-stream")
        return response.status, b"" if is_stream else response.read(_MAX_BODY)
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}".encode()
    finally:
        connection.close()


def _connection(command: ServerCommand, server: _Server) -> http.client.HTTPConnection:
    options = [word.partition("=")[0] for word in command.arguments]
    if not any(each in _TLS for each in options):
        return http.client.HTTPConnection(HOST, server.port, timeout=_REQUEST_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is for another name
    return http.client.HTTPSConnection(
        HOST, server.port, timeout=_REQUEST_TIMEOUT_S, context=context
    )
