"""A temporary PostgreSQL server.

:func:`postgres_server` yields a :class:`PostgresServer` with an empty database, which listens on a
free loopback TCP port and on a Unix socket. The server is a child process of the test, which waits
until it accepts connections and, after the block, until it has exited.

The cluster is in a temporary directory that is deleted afterwards, so it runs without ``fsync``.
PostgreSQL refuses to run as root; root runs it as the user ``postgres`` of Debian's package.
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
from tests.harness.tools import skip_without

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
    """PostgreSQL did not start. The message includes its log."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server, created by :func:`postgres_server`.

    :ivar folder: its temporary directory, which also contains the Unix socket.
    :ivar max_connections: the connection limit, of which three are reserved for the superuser.
    """

    folder: Path
    port: int
    max_connections: int

    @property
    def url(self) -> str:
        """The URL of the default database, over TCP."""
        return self.url_of("postgres")

    @property
    def dsn(self) -> str:
        """The default database as a libpq keyword string, over the Unix socket."""
        return f"host={self.folder} port={self.port} user={USER} dbname=postgres"

    def url_of(self, database: str) -> str:
        """The URL of a database, over TCP."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database.

        :returns: its URL.
        """
        query = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query)
        return self.url_of(name)

    def connections(self, database: str) -> int:
        """The number of clients connected to ``database`` now."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query, (database, connection.info.backend_pid)).fetchone()
        return int(row[0]) if row else 0

    def log(self) -> str:
        """The log so far."""
        return _read(self.folder / "log")


@contextmanager
def postgres_server(
    *, max_connections: int = 100, log_dir: Path | None = None
) -> Iterator[PostgresServer]:
    """Run PostgreSQL for the block.

    :param log_dir: a directory to keep ``postgres.log`` in; it is deleted otherwise. An exception
        that escapes the block gets the end of the log as a note.
    :raises PostgresFailed: PostgreSQL did not start within a minute.
    """
    cluster = _Cluster(_binaries(), Path(tempfile.mkdtemp(prefix="bridge-pg-")), max_connections)
    try:
        cluster.create()
        with cluster.running() as server:
            yield server
    except BaseException as error:
        error.add_note(f"The end of PostgreSQL's log:\n{cluster.log()[-LOG_TAIL_CHARS:]}")
        raise
    finally:
        if log_dir is not None:
            (log_dir / "postgres.log").write_text(cluster.log(), "utf-8")
        shutil.rmtree(cluster.folder)


@dataclass(frozen=True)
class _Cluster:
    """A data directory and PostgreSQL's programs."""

    binaries: Path
    folder: Path
    max_connections: int

    def create(self) -> None:
        """Create the data directory, owned by the user that runs the server."""
        if os.geteuid() == 0:
            user = _unprivileged_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        code = self._spawn("initdb", "--pgdata", "data", "--no-sync", *options).wait(TIMEOUT_S)
        if code:
            raise PostgresFailed(f"initdb failed with exit code {code}:\n{self.log()}")

    @contextmanager
    def running(self) -> Iterator[PostgresServer]:
        """Run the server for the block."""
        with held_port() as holder:
            server = PostgresServer(self.folder, port_of(holder), self.max_connections)
            port = str(server.port)
            process = self._spawn("postgres", "-D", "data", "-p", port, *self._options())
            try:
                _wait_until_ready(server, process)
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # "fast shutdown": disconnects its clients
                process.wait(TIMEOUT_S)

    def _options(self) -> list[str]:
        extra = {"max_connections": self.max_connections, "unix_socket_directories": self.folder}
        return [f"--{name}={value}" for name, value in {**SETTINGS, **extra}.items()]

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.binaries / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the tests, which then stop the server
                **_user_arguments(),
            )

    def log(self) -> str:
        """The output of all programs so far."""
        return _read(self.folder / "log")


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresFailed(f"postgres exited with {process.returncode}:\n{server.log()}")
        try:
            psycopg.connect(server.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(POLL_S)  # poll with a deadline: a port offers no event to wait for
        else:
            return
    raise PostgresFailed(
        f"postgres did not accept a connection within {TIMEOUT_S} s:\n{server.log()}"
    )


def _binaries() -> Path:
    """The directory of ``initdb``: from ``PATH``, else Debian's newest version."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else skip_without("PostgreSQL", "postgresql")


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return skip_without("a user for PostgreSQL (it refuses to run as root)", "postgresql")


def _user_arguments() -> dict[str, Any]:
    """Arguments of ``Popen`` that drop root's privileges; none for other users."""
    if os.geteuid() != 0:
        return {}
    user = _unprivileged_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
