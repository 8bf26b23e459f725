"""``manage.py bridge_check``: `bridge migrate check`, inside the running project.

Input: options. Output: the report on stdout, and the exit codes of `bridge migrate check`.
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
from bridge.migrate.display import printable

__all__ = ["Command"]


class Command(BaseCommand):
    """Checks the project, as `bridge migrate check` does."""

    help = (
        "Find what behaves differently under ASGI. Exit code: 0 clean, 1 findings, 2 usage error."
    )
    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]  # read from instances

    def add_arguments(self, parser: ArgumentParser) -> None:
        levels = ("critical", "error", "warning", "info", "never")
        parser.add_argument("--target", choices=("auto", "bridge", "native"))
        parser.add_argument("--select", metavar="RULES", help="check only these rules: M,M202")
        parser.add_argument("--ignore", metavar="RULES", help="skip these rules")
        parser.add_argument("--baseline", metavar="FILE", type=Path, help="findings to ignore")
        parser.add_argument(
            "--fail-level", choices=levels, help="exit with 1 from this severity on; default: error"
        )
        parser.add_argument(
            "--requirement", metavar="TEXT", help="how fixes add bridge to the requirements"
        )
        parser.add_argument(
            "--accept",
            metavar="OPTION",
            action="append",
            help="an option of the old server that may be dropped; may be repeated",
        )
        parser.add_argument(
            "--verbose",
            action="store_true",
            default=None,
            help="also report findings that change nothing for this project",
        )
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
                select=options["select"],
                ignore=options["ignore"],
                baseline=options["baseline"],
                fail_level=options["fail_level"],
                requirement=options["requirement"],
                accept=tuple(options["accept"]) if options["accept"] else None,
                verbose=options["verbose"],
            )
        except BridgeError as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write(FORMATS[options["format"]](session), ending="")
        for problem in session.report.problems:
            self.stderr.write(f"{session.project.shown(problem.path)} {printable(problem.message)}")
        if session.exit_code:
            sys.exit(session.exit_code)
