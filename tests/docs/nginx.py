"""Runs nginx with the configuration that a page shows, in the foreground and without privileges.

Input: ``server`` blocks as on the page. Output: a running nginx on a free port, or an
AssertionError with its log if it refuses its configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.console import at_port
from tests.docs.unix_socket import in_test_folder
from tests.harness.listening import wait_until_listening
from tests.harness.ports import HOST, held_port, port_of

__all__ = ["nginx", "path_of_nginx"]

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""


def path_of_nginx() -> str | None:
    """The path of nginx, or None. Debian has it in a folder that is only on root's ``PATH``."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@contextmanager
def nginx(servers: str, folder: Path, upstream_port: int | None) -> Iterator[int]:
    """Run nginx for the duration of the block, and yield the port it listens on.

    :param servers: its ``server`` blocks, which listen on port 80 and pass requests to port 8000.
    :param upstream_port: the real port behind it; None for a unix socket.
    """
    with held_port() as holder, (folder / "nginx.log").open("w+") as log:
        port = port_of(holder)
        servers = in_test_folder(servers)
        servers = re.sub(r"listen 80;", f"listen {HOST}:{port};", servers)
        if upstream_port is not None:
            servers = at_port(servers, upstream_port)
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, servers=servers), "utf-8")
        command = [path_of_nginx() or "nginx", "-p", str(folder), "-c", str(config)]
        process = subprocess.Popen(command, cwd=folder, stderr=log, stdout=log)
        try:
            wait_until_listening(process, port, folder / "nginx.log")
            yield port
        finally:
            process.kill()
            process.wait()
