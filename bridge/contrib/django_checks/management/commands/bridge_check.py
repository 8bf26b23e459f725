"""``manage.py bridge_check``: `bridge migrate check`, from inside of the project.

What enters: options. What leaves: the report on stdout, and the same exit codes as those of
`bridge migrate check`.
"""

from __future__ import annotations

import importlib.util
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from bridge.contrib.django_checks.checks import NO_LIBCST, check_this_project
from bridge.errors import BridgeError

__all__ = ["Command"]


class Command(BaseCommand):
    """See the module's docstring."""

    help = "Find what behaves differently under ASGI. Exit code: 0 clean, 1 findings, 2 bad usage."
    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]  # read from instances

    def add_arguments(self, parser: ArgumentParser) -> None:
        levels = ("critical", "error", "warning", "info", "never")
        parser.add_argument("--target", choices=("auto", "bridge", "native"))
        parser.add_argument("--select", metavar="RULES", help="only these: M,M202")
        parser.add_argument("--ignore", metavar="RULES", help="all but these")
        parser.add_argument("--baseline", metavar="FILE", type=Path, help="findings to leave out")
        parser.add_argument("--fail-level", choices=levels, help="default: error")
        formats = ("text", "json", "sarif", "markdown")
        parser.add_argument("--format", choices=formats, default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        if importlib.util.find_spec("libcst") is None:
            raise CommandError(
                f'{NO_LIBCST}: pip install "wsgi-asgi-bridge[migrate]"', returncode=2
            )
        from bridge.migrate.outputs import FORMATS

        try:
            session = check_this_project(
                target=options["target"],
                select=_codes(options["select"]),
                ignore=_codes(options["ignore"]),
                baseline=options["baseline"],
                fail_level=options["fail_level"],
            )
        except BridgeError as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write(FORMATS[options["format"]](session), ending="")
        for problem in session.report.problems:
            self.stderr.write(f"{session.project.relative(problem.path)} {problem.message}")
        if session.exit_code:
            sys.exit(session.exit_code)


def _codes(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(code.strip().upper() for code in text.split(",") if code.strip())
