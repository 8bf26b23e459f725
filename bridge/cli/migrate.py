"""The command line of ``bridge migrate``: ``check``, ``plan``, ``fix`` and ``explain``.

Input: ``sys.argv``. Output: the report on stdout, messages on stderr, and an exit code: 0 clean,
1 findings at or above ``--fail-level``, 2 usage or parse error, 3 introspection failed. Needs the
extra ``[migrate]``, with an error message if it is missing; ``bridge --help`` works without it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bridge.errors import BridgeError

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Move a Django or Flask project from WSGI to ASGI: find what breaks, and fix it where "
    "possible.",
    epilog="[bold]Start with[/]  bridge migrate check .",
)

_CHECKS, _INTROSPECTION, _OUTPUT = "Checks", "Introspection", "Output"

PathArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        show_default=False,
        help="The project's folder; for Django, the one with manage.py.",
    ),
]
Target = Annotated[
    Literal["auto", "bridge", "native"] | None,
    typer.Option(
        "--target",
        metavar="NAME",
        rich_help_panel=_CHECKS,
        help="bridge, native (the framework's own ASGI handler) or auto (the one that `bridge "
        "migrate plan` recommends). Default: auto.",
    ),
]
SettingsModule = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="MODULE",
        rich_help_panel=_INTROSPECTION,
        help="Django's settings module. Default: the one in manage.py.",
    ),
]
Python = Annotated[
    Path | None,
    typer.Option(
        "--python",
        metavar="PATH",
        rich_help_panel=_INTROSPECTION,
        help="The project's own interpreter. Default: that of .venv or venv in the project, else "
        "of the active environment.",
    ),
]
NoIntrospect = Annotated[
    bool,
    typer.Option(
        "--no-introspect",
        rich_help_panel=_INTROSPECTION,
        help="Only read the sources; do not run the project.",
    ),
]
Select = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="RULES",
        rich_help_panel=_CHECKS,
        help="Run only these rules: codes or prefixes, separated by commas. Example: M,E101.",
    ),
]
Ignore = Annotated[
    str | None,
    typer.Option(
        "--ignore",
        metavar="RULES",
        rich_help_panel=_CHECKS,
        help="Skip these rules: codes or prefixes, separated by commas.",
    ),
]
FailLevel = Annotated[
    Literal["critical", "error", "warning", "info", "never"] | None,
    typer.Option(
        "--fail-level",
        metavar="LEVEL",
        rich_help_panel=_OUTPUT,
        help="Exit with 1 for findings of this severity or worse: critical, error, warning, info "
        "or never. Default: error.",
    ),
]
Format = Annotated[
    Literal["text", "json", "sarif", "markdown"],
    typer.Option(
        "--format", metavar="NAME", rich_help_panel=_OUTPUT, help="text, json, sarif or markdown."
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        rich_help_panel=_CHECKS,
        help="Ignore the findings in this file.",
    ),
]


@app.command("check")
def check_command(
    path: PathArgument,
    target: Target = None,
    settings: SettingsModule = None,
    python: Python = None,
    no_introspect: NoIntrospect = False,
    select: Select = None,
    ignore: Ignore = None,
    baseline: Baseline = None,
    update_baseline: Annotated[
        bool,
        typer.Option(
            "--update-baseline",
            rich_help_panel=_OUTPUT,
            help="Write all findings to the baseline, and exit with 0.",
        ),
    ] = False,
    format: Format = "text",
    fail_level: FailLevel = None,
) -> None:
    """Find what behaves differently under ASGI. Changes nothing.

    Exit code: 0 clean, 1 findings, 2 usage or parse error, 3 introspection failed.
    """
    with _commands() as commands:
        given = _given(
            target, settings, python, no_introspect, select, ignore, fail_level, baseline
        )
        raise typer.Exit(commands.check(path, given, format, update_baseline))


@app.command("plan")
def plan_command(
    path: PathArgument,
    target: Target = None,
    settings: SettingsModule = None,
    python: Python = None,
    no_introspect: NoIntrospect = False,
    select: Select = None,
    ignore: Ignore = None,
    baseline: Baseline = None,
    format: Annotated[
        Literal["text", "json", "markdown"],
        typer.Option(
            "--format", metavar="NAME", rich_help_panel=_OUTPUT, help="text, json or markdown."
        ),
    ] = "text",
    fail_level: FailLevel = None,
) -> None:
    """Recommend a move: target, server, threads, database connections, and how to roll back."""
    with _commands() as commands:
        given = _given(
            target, settings, python, no_introspect, select, ignore, fail_level, baseline
        )
        raise typer.Exit(commands.plan(path, given, format))


@app.command("fix")
def fix_command(
    path: PathArgument,
    target: Target = None,
    settings: SettingsModule = None,
    python: Python = None,
    no_introspect: NoIntrospect = False,
    select: Select = None,
    ignore: Ignore = None,
    baseline: Baseline = None,
    write: Annotated[
        bool, typer.Option("--write", rich_help_panel=_OUTPUT, help="Write the changed files.")
    ] = False,
    unsafe_fixes: Annotated[
        bool,
        typer.Option(
            "--unsafe-fixes",
            rich_help_panel=_CHECKS,
            help="Also apply fixes that may change the project's behaviour. Review the diff.",
        ),
    ] = False,
    allow_dirty: Annotated[
        bool,
        typer.Option(
            "--allow-dirty",
            rich_help_panel=_OUTPUT,
            help="Write even if git has uncommitted changes or ignores one of the files.",
        ),
    ] = False,
    fail_level: FailLevel = None,
) -> None:
    """Show fixes as a unified diff; with --write, apply them.

    Exit code: as for check, counting only the findings that remain.
    """
    with _commands() as commands:
        given = _given(
            target, settings, python, no_introspect, select, ignore, fail_level, baseline
        )
        raise typer.Exit(commands.fix(path, given, write, unsafe_fixes, allow_dirty))


@app.command("explain")
def explain_command(
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="RULE", show_default=False, help="Its code, as M202. Default: list all rules."
        ),
    ] = None,
) -> None:
    """Explain a rule, with code before and after."""
    with _commands() as commands:
        raise typer.Exit(commands.explain(rule))


def _given(
    target: str | None,
    settings: str | None,
    python: Path | None,
    no_introspect: bool,
    select: str | None,
    ignore: str | None,
    fail_level: str | None,
    baseline: Path | None,
) -> dict[str, Any]:
    """Fields of :class:`bridge.migrate.configuration.Options`; None if not given."""
    return {
        "target": target,
        "settings": settings,
        "python": python,
        "introspect": False if no_introspect else None,
        "select": select,
        "ignore": ignore,
        "fail_level": fail_level,
        "baseline": baseline,
    }


@contextmanager
def _commands() -> Iterator[Any]:
    """The module that runs the commands; errors become one line on stderr and exit code 2."""
    if importlib.util.find_spec("libcst") is None:
        print(
            'bridge: bridge migrate needs libcst: pip install "wsgi-asgi-bridge[migrate]"',
            file=sys.stderr,
        )
        raise typer.Exit(2)
    from bridge.cli import migrate_commands

    try:
        yield migrate_commands
    except BridgeError as error:
        print(f"bridge: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
