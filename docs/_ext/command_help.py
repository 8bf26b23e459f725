"""``{command-help}``: what a command of ours prints for ``--help``, asked while the docs are built.

What enters: the arguments after ``bridge``. What leaves: a literal block with the real output, in
the width of a page. The build fails if the command does.
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
        words = self.arguments[0].split() if self.arguments else []
        asked = " ".join(["bridge", *words, "--help"])
        shown = f"$ {asked}\n{help_of(words)}"
        block = nodes.literal_block(shown, shown, language="text", classes=["command-help"])
        return [block]


def help_of(words: list[str]) -> str:
    """The output of ``bridge WORDS --help``, without the blanks that pad it to a full line."""
    plain = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [sys.executable, "-m", "bridge", *words, "--help"],
        cwd=ROOT,
        env={**os.environ, **plain},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    lines = [line.rstrip() for line in ran.stdout.strip("\n ").splitlines()]
    return "\n".join(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
