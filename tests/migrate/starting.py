"""Starts a project with the command in its Procfile, on a free port."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.servers import Address, Server, ServerSpec, serve

__all__ = ["started"]


@contextmanager
def started(folder: Path, *, ready_path: str = "/") -> Iterator[Server]:
    """The server that ``web`` starts, with ``$PORT`` or 8000 replaced by a free port."""
    line = (folder / "Procfile").read_text("utf-8").removeprefix("web: ")

    def command(at: Address, target: str) -> list[str]:
        return shlex.split(re.sub(r"\$PORT|\b8000\b", str(at.port), line))

    with serve(ServerSpec("web", "asgi", command), "", cwd=folder, ready_path=ready_path) as server:
        yield server
