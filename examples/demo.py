"""All examples on one port: ``python examples/demo.py`` (or ``make demo``).

``mixed/main.py`` mounts the Flask app, the Django site, a FastAPI app and a chat in one Router. The
tour of ASGI is mounted beside them, and uvicorn serves all of it. ASGI apps run on the event loop
in the main thread, WSGI apps on bridge's worker threads.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DJANGO_SITE = HERE / "django_site"
DEFAULT_PORT = 8000
GRACE_S = 2  # grace period for open streams after Ctrl-C

try:
    import django  # noqa: F401  # imported here to report a missing package with advice
    import fastapi  # noqa: F401
    import flask  # noqa: F401
    import uvicorn
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    import bridge
except ModuleNotFoundError as missing:
    sys.exit(
        f"The demo needs {missing.name}, which is not installed for {sys.executable}.\n"
        "Run `make demo` in the repository's root: it installs all dependencies first."
    )

console = Console(highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Prepare, serve, and return the exit code."""
    options = _options(arguments)
    if not _is_loopback(options.host):
        os.environ.setdefault("ALLOWED_HOSTS", "*")
    try:
        with console.status("Preparing the shop's database …"):
            _prepare_shop()
        listener = _listen(options.host, options.port)
    except (subprocess.CalledProcessError, OSError) as error:
        console.print(f"[red]The demo cannot start:[/] {_describe(error)}")
        return 1
    with listener:
        app = every_example(options.threads)
        console.print(_welcome(listener, options))
        _serve(app, listener)
    console.print("Stopped.")
    return 0


def every_example(threads: int) -> bridge.Router:
    """Mount the four apps of ``mixed`` and the tour in one Router. Both are Routers themselves."""
    sys.path[:0] = [str(HERE / "mixed"), str(HERE / "asgi_tour")]
    import main as mixed
    import tour

    return bridge.Router({"/": mixed.app, "/tour": tour.app}, threads=threads)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve all examples on one port.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="0 for a free port; if the port is in use, a free one is used (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=40,
        help="worker threads; each open live board occupies one (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _prepare_shop() -> None:
    """Migrate and seed in separate processes, so that this one only serves."""
    for command in (["migrate", "--verbosity", "0"], ["seed"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=DJANGO_SITE,
            check=True,
            capture_output=True,
            text=True,
        )


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port first, so that the URL on the screen is right."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    console.print(f"Port {port} is in use by another program; using a free port instead.")
    return socket.create_server((host, 0), family=family)


def _welcome(listener: socket.socket, options: argparse.Namespace) -> Panel:
    url = _url(listener)
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="bold")
    for name, path, note in (
        ("Harbour Office", "/", "Flask"),
        ("Office API", "/api/", "FastAPI"),
        ("Control room", "/ws/", "WebSocket chat"),
        ("Harbour Shop", "/shop/", "Django"),
        ("Shop admin", "/shop/admin/", "admin / admin"),
        ("A tour of ASGI", "/tour/", "ten short apps"),
    ):
        grid.add_row(name, Text(url + path, style=f"cyan link {url}{path}"), note)
    grid.add_row("")
    grid.add_row("Server", f"uvicorn {uvicorn.__version__}", "ASGI")
    grid.add_row("WSGI apps", "bridge.to_asgi", f"{options.threads} threads")
    title = f"bridge {bridge.__version__}: WSGI and ASGI apps in one bridge.Router"
    return Panel(grid, title=title, subtitle="Ctrl-C to stop", expand=False, padding=(1, 2))


class _Server(uvicorn.Server):
    """uvicorn without error logs for streams that are open at shutdown.

    A live board stays open until its page is closed. uvicorn logs each stream that outlasts the
    grace period as an error with a traceback; in a demo this is the normal end.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _serve(app: Any, listener: socket.socket) -> None:
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
    try:
        _Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises it again after its shutdown
        pass


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _describe(error: subprocess.CalledProcessError | OSError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"`{' '.join(error.cmd[1:])}` failed:\n{error.stderr.strip()}"
    return f"the address is not available: {error.strerror or error}"


if __name__ == "__main__":
    sys.exit(main())
