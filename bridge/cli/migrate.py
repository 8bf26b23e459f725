"""``bridge migrate check``, ``plan``, ``fix`` and ``explain``, as typer parses them.

What enters: ``sys.argv``. What leaves: the report on stdout, the rest on stderr, an exit code: 0
clean, 1 findings at or above ``--fail-level``, 2 usage or parse error, 3 introspection failed.
Needs the extra ``[migrate]``, and says so where it is missing; ``bridge --help`` works without.
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
    help="Move a Django or Flask project from WSGI to ASGI: find what breaks, fix what can be.",
    epilog="[bold]Start with[/]  bridge migrate check .",
)

_WHAT, _ASKING, _OUT = "What is checked", "How the project is asked", "What comes out"

PathArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PATH", show_default=False, help="The project: the folder with manage.py."
    ),
]
Target = Annotated[
    Literal["auto", "bridge", "native"] | None,
    typer.Option(
        "--target",
        metavar="NAME",
        rich_help_panel=_WHAT,
        help="bridge, native (the framework's own ASGI handler) or auto. Default: auto, which is "
        "what `bridge migrate plan` recommends.",
    ),
]
SettingsModule = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="MODULE",
        rich_help_panel=_ASKING,
        help="Django's settings module. Default: the one in manage.py.",
    ),
]
Python = Annotated[
    Path | None,
    typer.Option(
        "--python",
        metavar="PATH",
        rich_help_panel=_ASKING,
        help="The project's own interpreter. Default: of .venv or venv in it, else of the active "
        "environment.",
    ),
]
NoIntrospect = Annotated[
    bool,
    typer.Option(
        "--no-introspect", rich_help_panel=_ASKING, help="Read the sources only; run nothing."
    ),
]
Select = Annotated[
    str | None,
    typer.Option(
        "--select", metavar="RULES", rich_help_panel=_WHAT, help="Only these: M, M202, E10."
    ),
]
Ignore = Annotated[
    str | None,
    typer.Option("--ignore", metavar="RULES", rich_help_panel=_WHAT, help="All but these."),
]
FailLevel = Annotated[
    Literal["critical", "error", "warning", "info", "never"] | None,
    typer.Option(
        "--fail-level",
        metavar="LEVEL",
        rich_help_panel=_OUT,
        help="Exit with 1 for findings this bad or worse: critical, error, warning, info or never. "
        "Default: error.",
    ),
]
Format = Annotated[
    Literal["text", "json", "sarif", "markdown"],
    typer.Option(
        "--format", metavar="NAME", rich_help_panel=_OUT, help="text, json, sarif or markdown."
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        rich_help_panel=_WHAT,
        help="Leave out the findings that are written down there.",
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
            rich_help_panel=_OUT,
            help="Write all findings down in the baseline, and exit with 0.",
        ),
    ] = False,
    format: Format = "text",
    fail_level: FailLevel = None,
) -> None:
    """Find what behaves differently under ASGI. Changes nothing.

    Exit code: 0 clean, 1 findings, 2 usage or parse error, 3 the project could not be asked.
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
            "--format", metavar="NAME", rich_help_panel=_OUT, help="text, json or markdown."
        ),
    ] = "text",
    fail_level: FailLevel = None,
) -> None:
    """Recommend where to move: target, server, threads, database connections, and the way back."""
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
        bool, typer.Option("--write", rich_help_panel=_OUT, help="Write the files.")
    ] = False,
    unsafe_fixes: Annotated[
        bool,
        typer.Option(
            "--unsafe-fixes",
            rich_help_panel=_WHAT,
            help="Fixes as well that may change what the project does. Read the diff.",
        ),
    ] = False,
    allow_dirty: Annotated[
        bool,
        typer.Option(
            "--allow-dirty",
            rich_help_panel=_OUT,
            help="Write even where git has changes that are not committed.",
        ),
    ] = False,
    fail_level: FailLevel = None,
) -> None:
    """Show fixes as a unified diff; with --write, write them.

    Exit code: as of check, for what is left after the fixes.
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
        typer.Argument(metavar="RULE", show_default=False, help="As M202. Without: list them all."),
    ] = None,
) -> None:
    """Say what a rule is about, with code before and after."""
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
    """Fields of :class:`bridge.migrate.configuration.Choices`; None for what was not given."""
    return {
        "target": target,
        "settings": settings,
        "python": python,
        "introspect": False if no_introspect else None,
        "select": _codes(select),
        "ignore": _codes(ignore),
        "fail_level": fail_level,
        "baseline": baseline,
    }


def _codes(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(code.strip().upper() for code in text.split(",") if code.strip())


@contextmanager
def _commands() -> Iterator[Any]:
    """What carries the commands out; a line on stderr and exit code 2 if that cannot be."""
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
