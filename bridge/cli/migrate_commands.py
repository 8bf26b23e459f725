"""What ``bridge migrate`` does, command by command.

What enters: options. What leaves: text on stdout, a line for each thing that went wrong on stderr,
and the exit code. Main thread.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bridge.errors import MigrationError
from bridge.migrate import explain as explaining
from bridge.migrate.baseline import write_baseline
from bridge.migrate.configuration import choices
from bridge.migrate.fixer import Changes, unified_diff
from bridge.migrate.fixer import fix as carry_out
from bridge.migrate.outputs import FORMATS
from bridge.migrate.outputs.grouping import count
from bridge.migrate.plan import PLAN_FORMATS
from bridge.migrate.plan import plan as work_out
from bridge.migrate.project import Project
from bridge.migrate.runner import Progress as Told
from bridge.migrate.session import Session, run_check
from bridge.migrate.writing import ignored, uncommitted, write_texts

__all__ = ["check", "explain", "fix", "plan"]


def check(path: Path, given: Mapping[str, Any], format: str, update_baseline: bool) -> int:
    """``bridge migrate check``"""
    session = _session(path, given)
    if update_baseline:
        return _update_baseline(session)
    _print(FORMATS[format](session))
    return _ended(session)


def _update_baseline(session: Session) -> int:
    file = session.choices.baseline
    if file is None:
        raise MigrationError(
            "--update-baseline needs --baseline FILE, or baseline in pyproject.toml"
        )
    if session.failure:
        return _ended(session)  # a baseline without what introspection finds would be too short
    number = write_baseline(file, session.project, session.found)
    _tell(f"{count(number, 'finding')} written to {file}")
    return 0


def plan(path: Path, given: Mapping[str, Any], format: str) -> int:
    """``bridge migrate plan``"""
    session = _session(path, given)
    _print(PLAN_FORMATS[format](work_out(session)))
    return _ended(session)


def fix(
    path: Path, given: Mapping[str, Any], write: bool, unsafe_fixes: bool, allow_dirty: bool
) -> int:
    """``bridge migrate fix``"""
    if write and not allow_dirty:
        _refuse_dirty(path)
    session = _session(path, given)
    changes = carry_out(
        session.project,
        session.rules,
        unsafe=unsafe_fixes,
        report=session.report,
        narrow=session.without_baseline,
    )
    _print(unified_diff(session.project, changes))
    if write:
        if not allow_dirty:
            _refuse_ignored(session.project, changes)
        write_texts(changes.after)
    _tell(_outcome(changes, write))
    if write:
        _tell_new(changes)
    return _ended(replace(session, report=changes.left))


def _refuse_dirty(path: Path) -> None:
    changed = uncommitted(path if path.is_dir() else path.parent)
    if changed:
        raise MigrationError(
            f"git has changes that are not committed ({_first(changed)}): commit them first, so "
            "that the fixes can be seen and undone by themselves, or use --allow-dirty"
        )


def _refuse_ignored(project: Project, changes: Changes) -> None:
    files = [project.relative(path) for path in ignored(project.root, changes.after)]
    if files:
        raise MigrationError(
            f"git ignores files that would be written ({_first(files)}), and could not take that "
            "back; nothing was written. Leave them out with exclude, or use --allow-dirty"
        )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _tell_new(changes: Changes) -> None:
    """``git checkout`` leaves new files where they are."""
    new = [os.path.relpath(path) for path in changes.after if changes.before[path] is None]
    if new:
        _tell(f"New files, to be taken back by themselves: rm {shlex.join(new)}")


def _outcome(changes: Changes, written: bool) -> str:
    if not changes.after:
        return "Nothing to fix."
    done = f"{count(len(changes.fixed), 'fix' if len(changes.fixed) == 1 else 'fixe')}"
    files = count(len(changes.after), "file")
    if written:
        return f"{done} written to {files}. {count(len(changes.left.findings), 'finding')} left."
    return f"{done} in {files} would be written with --write."


def explain(rule: str | None) -> int:
    """``bridge migrate explain``"""
    _print(explaining.list_rules() if rule is None else explaining.explain(rule))
    return 0


# -- around all of them ----------------------------------------------------------------------------


def _session(path: Path, given: Mapping[str, Any]) -> Session:
    folder = path if path.is_dir() else path.parent
    with _progress() as told:
        return run_check(path, choices(folder, given), told)


def _ended(session: Session) -> int:
    """Tell what could not be looked at. Returns the exit code."""
    for problem in session.report.problems:
        where = session.project.relative(problem.path)
        _tell(
            f"{where}:{problem.line}: {problem.message}"
            if problem.line
            else f"{where} {problem.message}"
        )
    if session.failure:
        _tell(session.failure)
    return session.exit_code


def _tell(text: str) -> None:
    print(f"bridge: {text}", file=sys.stderr)


def _print(text: str) -> None:
    """Text on stdout, coloured on a terminal only."""
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        sys.stdout.write(text)
        return
    for line in text.splitlines():
        console.print(line, style=_style(line), markup=False)


_STYLES = (
    ("--- ", "bold"),
    ("+++ ", "bold"),
    ("@@", "cyan"),
    ("+", "green"),
    ("-", "red"),
    ("Found", "bold"),
    ("  help:", "cyan"),
    ("    help:", "cyan"),
)


def _style(line: str) -> str:
    if line[:1].isalpha() and (" critical: " in line or " error: " in line):
        return "bold red"
    if line[:1].isalpha() and (" warning: " in line or " info: " in line):
        return "bold yellow"
    return next((style for start, style in _STYLES if line.startswith(start)), "none")


@contextmanager
def _progress() -> Iterator[Told]:
    """A progress bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("Checking"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("check", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
