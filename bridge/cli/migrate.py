"""The command line of ``bridge migrate``: ``check``, ``plan``, ``fix`` and ``explain``.

Input: ``sys.argv``. Output: the report on stdout, messages on stderr, and an exit code: 0 clean,
1 findings at or above ``--fail-level``, 2 usage or parse error, 3 introspection failed. Needs the
extra ``[migrate]``, with an error message if it is missing; ``bridge --help`` works without it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.exceptions import Exit

from bridge.cli.command_help import Group, argument, option
from bridge.errors import BridgeError

__all__ = ["migrate_group"]

F = TypeVar("F", bound=Callable[..., Any])

_CHECKS, _INTROSPECTION, _OUTPUT = "Checks", "Introspection", "Output"
_FILE = click.Path(path_type=Path)

_PATH = argument(
    "path",
    type=_FILE,
    metavar="PATH",
    help="The project's folder; for Django, the one with manage.py.",
)
_SHARED = (
    option(
        "--target",
        type=click.Choice(["auto", "bridge", "native"]),
        metavar="NAME",
        section=_CHECKS,
        help="bridge, native (the framework's own ASGI handler) or auto (the one that `bridge "
        "migrate plan` recommends). Default: auto.",
    ),
    option(
        "--select",
        metavar="RULES",
        section=_CHECKS,
        help="Run only these rules: codes or prefixes, separated by commas. Example: M,E101.",
    ),
    option(
        "--ignore",
        metavar="RULES",
        section=_CHECKS,
        help="Skip these rules: codes or prefixes, separated by commas.",
    ),
    option(
        "--baseline",
        type=_FILE,
        metavar="FILE",
        section=_CHECKS,
        help="Ignore the findings in this file.",
    ),
    option(
        "--settings",
        metavar="MODULE",
        section=_INTROSPECTION,
        help="Django's settings module. Default: the one in manage.py.",
    ),
    option(
        "--python",
        type=_FILE,
        metavar="PATH",
        section=_INTROSPECTION,
        help="The project's own interpreter. Default: that of .venv or venv in the project, else "
        "of the active environment.",
    ),
    option(
        "--no-introspect",
        is_flag=True,
        section=_INTROSPECTION,
        help="Only read the sources; do not run the project.",
    ),
    option(
        "--requirement",
        metavar="TEXT",
        section=_CHECKS,
        help="How fixes add bridge to the requirements. Example: 'wsgi-asgi-bridge @ URL', with "
        "the URL of a wheel or of a repository. Default: wsgi-asgi-bridge.",
    ),
    option(
        "--accept",
        metavar="OPTION",
        multiple=True,
        section=_CHECKS,
        help="Let fixes drop this option of the old server, although something stops working "
        "without it, such as attach-daemon. May be repeated.",
    ),
    option(
        "--verbose",
        is_flag=True,
        default=None,
        section=_OUTPUT,
        help="Also report findings, and lines of deploy files, that change nothing for this "
        "project.",
    ),
    option(
        "--fail-level",
        type=click.Choice(["critical", "error", "warning", "info", "never"]),
        metavar="LEVEL",
        section=_OUTPUT,
        help="Exit with 1 for findings of this severity or worse: critical, error, warning, info "
        "or never. Default: error.",
    ),
)


def _checks_project(command: F) -> F:
    """Add the arguments of every command that checks a project; see :func:`_given`."""
    for add in reversed(_SHARED):
        command = add(command)
    return _PATH(command)


def _format(*names: str) -> Callable[[F], F]:
    return option(
        "--format",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        metavar="NAME",
        section=_OUTPUT,
        help=f"{', '.join(names[:-1])} or {names[-1]}.",
    )


@click.group(
    "migrate",
    cls=Group,
    short_help="Move a Django or Flask project from WSGI to ASGI.",
    epilog="Start with: bridge migrate check .",
)
def migrate_group() -> None:
    """Move a Django or Flask project from WSGI to ASGI: find what breaks, and fix it where
    possible.
    """


@migrate_group.command("check")
@_checks_project
@option(
    "--update-baseline",
    is_flag=True,
    section=_OUTPUT,
    help="Write all findings to the baseline, and exit with 0.",
)
@option(
    "--smoke",
    is_flag=True,
    section=_CHECKS,
    help="Then start the ASGI server of the deploy files on a free port, ask it for /, a missing "
    "page and the login page, and report settings, DEBUG, user and ports.",
)
@_format("text", "json", "sarif", "markdown")
def check_command(
    path: Path, update_baseline: bool, smoke: bool, format: str, **given: Any
) -> None:
    """Find what behaves differently under ASGI. Changes nothing.

    Exit code: 0 clean, 1 findings or a failed smoke test, 2 usage or parse error, 3 introspection
    failed.
    """
    with _commands() as commands:
        raise Exit(commands.check(path, _given(**given), format, update_baseline, smoke))


@migrate_group.command("plan", short_help="Recommend whether to move, and how.")
@_checks_project
@_format("text", "json", "markdown")
def plan_command(path: Path, format: str, **given: Any) -> None:
    """Recommend a move: target, server, threads, database connections, and how to roll back."""
    with _commands() as commands:
        raise Exit(commands.plan(path, _given(**given), format))


@migrate_group.command("fix")
@_checks_project
@option(
    "--unsafe-fixes",
    is_flag=True,
    section=_CHECKS,
    help="Also apply fixes that may change the project's behaviour. Review the diff.",
)
@option("--write", is_flag=True, section=_OUTPUT, help="Write the changed files.")
@option(
    "--allow-dirty",
    is_flag=True,
    section=_OUTPUT,
    help="Write even if git has uncommitted changes or ignores one of the files.",
)
def fix_command(
    path: Path, unsafe_fixes: bool, write: bool, allow_dirty: bool, **given: Any
) -> None:
    """Show fixes as a unified diff; with --write, apply them.

    Exit code: as for check, counting only the findings that remain.
    """
    with _commands() as commands:
        raise Exit(commands.fix(path, _given(**given), write, unsafe_fixes, allow_dirty))


@migrate_group.command("explain")
@argument(
    "rule", required=False, metavar="[RULE]", help="Its code, as M202. Default: list all rules."
)
def explain_command(rule: str | None) -> None:
    """Explain a rule, with code before and after."""
    with _commands() as commands:
        raise Exit(commands.explain(rule))


def _given(no_introspect: bool, accept: tuple[str, ...], **options: Any) -> dict[str, Any]:
    """Fields of :class:`bridge.migrate.configuration.Options`; None if not given."""
    return {
        **options,
        "introspect": False if no_introspect else None,
        "accept": accept or None,
    }


@contextmanager
def _commands() -> Iterator[Any]:
    """The module that runs the commands; errors become one line on stderr and exit code 2."""
    if importlib.util.find_spec("libcst") is None:
        print(
            'bridge: bridge migrate needs libcst: pip install "wsgi-asgi-bridge[migrate]"',
            file=sys.stderr,
        )
        raise Exit(2)
    from bridge.cli import migrate_commands

    try:
        yield migrate_commands
    except BridgeError as error:
        print(f"bridge: {error}", file=sys.stderr)
        raise Exit(2) from None
    except KeyboardInterrupt:
        raise Exit(130) from None
