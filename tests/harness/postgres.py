"""A private PostgreSQL server for the length of a block.

What enters: how many connections it is to take. What leaves: a :class:`PostgresServer` that answers
on a free TCP port of the loopback and on a Unix socket, with an empty database. The server is a
child process of the test's, which starts it, waits for its first answer, and waits for its end.

The cluster lives in a temporary directory and is thrown away, so it runs without ``fsync``.
PostgreSQL refuses to run as root: there, it runs as the user ``postgres`` of Debian's package.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.harness.ports import HOST, held_port, port_of
from tests.harness.tools import missing

DEBIAN = Path("/usr/lib/postgresql")
USER = "bridge"
TIMEOUT_S = 60.0
POLL_S = 0.02
LOG_TAIL_CHARS = 8000
SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "log_connections": "on",
    "log_disconnections": "on",
}


class PostgresFailed(AssertionError):
    """PostgreSQL did not start. The message ends with its log."""


@dataclass(frozen=True)
class PostgresServer:
    """One running server. Made by :func:`postgres_server`.

    :ivar folder: its temporary directory, which also holds the Unix socket.
    :ivar max_connections: how many it takes; three of them are kept for the superuser.
    """

    folder: Path
    port: int
    max_connections: int

    @property
    def url(self) -> str:
        """The address of its first database, over TCP."""
        return self.url_of("postgres")

    @property
    def dsn(self) -> str:
        """The same as libpq's keywords, through the Unix socket."""
        return f"host={self.folder} port={self.port} user={USER} dbname=postgres"

    def url_of(self, database: str) -> str:
        """The address of a database, over TCP."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database.

        :returns: its address.
        """
        query = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query)
        return self.url_of(name)

    def connections(self, database: str) -> int:
        """How many clients are connected to ``database`` now."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query, (database, connection.info.backend_pid)).fetchone()
        return int(row[0]) if row else 0

    def log(self) -> str:
        """Everything that it wrote so far."""
        return _read(self.folder / "log")


@contextmanager
def postgres_server(
    *, max_connections: int = 100, log_dir: Path | None = None
) -> Iterator[PostgresServer]:
    """Run PostgreSQL for the length of the block.

    :param log_dir: where ``postgres.log`` is to be kept; else it goes with the server. An error
        that leaves the block carries the log's end as a note.
    :raises PostgresFailed: it did not start within a minute.
    """
    cluster = _Cluster(_binaries(), Path(tempfile.mkdtemp(prefix="bridge-pg-")), max_connections)
    try:
        cluster.create()
        with cluster.running() as server:
            yield server
    except BaseException as error:
        error.add_note(f"PostgreSQL's log ended with:\n{cluster.log()[-LOG_TAIL_CHARS:]}")
        raise
    finally:
        if log_dir is not None:
            (log_dir / "postgres.log").write_text(cluster.log(), "utf-8")
        shutil.rmtree(cluster.folder)


@dataclass(frozen=True)
class _Cluster:
    """A data directory and the programs that work on it."""

    binaries: Path
    folder: Path
    max_connections: int

    def create(self) -> None:
        """Make the data directory, owned by whoever may run the server."""
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        code = self._spawn("initdb", "--pgdata", "data", "--no-sync", *options).wait(TIMEOUT_S)
        if code:
            raise PostgresFailed(f"initdb failed with {code}:\n{self.log()}")

    @contextmanager
    def running(self) -> Iterator[PostgresServer]:
        """The server, until the end of the block."""
        with held_port() as holder:
            server = PostgresServer(self.folder, port_of(holder), self.max_connections)
            port = str(server.port)
            process = self._spawn("postgres", "-D", "data", "-p", port, *self._options())
            try:
                _wait_until_ready(server, process)
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # "fast shutdown": it ends its clients too
                process.wait(TIMEOUT_S)

    def _options(self) -> list[str]:
        own = {"max_connections": self.max_connections, "unix_socket_directories": self.folder}
        return [f"--{name}={value}" for name, value in {**SETTINGS, **own}.items()]

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.binaries / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end the server
                **_identity(),
            )

    def log(self) -> str:
        """What all the programs wrote."""
        return _read(self.folder / "log")


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresFailed(f"postgres exited with {process.returncode}:\n{server.log()}")
        try:
            psycopg.connect(server.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(POLL_S)  # polling, with a deadline: a port has no event to wait for
        else:
            return
    raise PostgresFailed(f"postgres did not answer in {TIMEOUT_S} s:\n{server.log()}")


def _binaries() -> Path:
    """The folder with ``initdb`` and ``pg_ctl``: on PATH, or the newest of Debian's."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else missing("PostgreSQL", "postgresql")


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return missing("a user for PostgreSQL (it refuses to run as root)", "postgresql")


def _identity() -> dict[str, Any]:
    """Arguments of ``Popen`` that leave root's rights behind, if there are any."""
    if os.geteuid() != 0:
        return {}
    user = _unprivileged()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
