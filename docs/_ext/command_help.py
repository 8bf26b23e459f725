"""The directive ``{command-help}``: the ``--help`` output of a ``bridge`` command.

Takes the arguments after ``bridge``, runs the command while the docs are built, and returns its
output as a literal block as wide as the page. If the command fails, the build fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
WIDTH = 86


class CommandHelp(Directive):
    """```` ```{command-help} run ``` ```` shows ``bridge run --help``."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        arguments = self.arguments[0].split() if self.arguments else []
        command = " ".join(["bridge", *arguments, "--help"])
        text = f"$ {command}\n{help_of(arguments)}"
        block = nodes.literal_block(text, text, language="text", classes=["command-help"])
        return [block]


def help_of(arguments: list[str]) -> str:
    """The output of ``bridge ARGUMENTS --help``, without trailing spaces."""
    plain = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *arguments, "--help"],
        cwd=ROOT,
        env={**os.environ, **plain},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    lines = [line.rstrip() for line in done.stdout.strip("\n ").splitlines()]
    return "\n".join(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
