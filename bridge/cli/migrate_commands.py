"""The commands of ``bridge migrate``.

Input: parsed options. Output: text on stdout, messages on stderr, and the exit code. Runs on: the
main thread.
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
from bridge.migrate import explain as explanations
from bridge.migrate import fixer, runner
from bridge.migrate import plan as plans
from bridge.migrate.baseline import write_baseline
from bridge.migrate.configuration import read_options
from bridge.migrate.display import printable, quoted_name
from bridge.migrate.installable import adds_bridge, as_unsafe, why_not_installable
from bridge.migrate.outputs import FORMATS
from bridge.migrate.outputs.grouping import count
from bridge.migrate.outputs.plan_format import PLAN_FORMATS
from bridge.migrate.project import Project
from bridge.migrate.repository import ignored, uncommitted
from bridge.migrate.session import Session, run_check
from bridge.migrate.smoke import smoke as smoke_test
from bridge.migrate.writing import write_texts

__all__ = ["check", "explain", "fix", "plan"]


def check(
    path: Path,
    given: Mapping[str, Any],
    format: str,
    update_baseline: bool = False,
    smoke: bool = False,
) -> int:
    """``bridge migrate check``"""
    if smoke and update_baseline:
        raise MigrationError("--smoke and --update-baseline: use one of them")
    session = _session(path, given)
    if update_baseline:
        return _update_baseline(session)
    if smoke:
        session = _with_smoke_test(session)
    _print(FORMATS[format](session))
    return _finish(session)


def _with_smoke_test(session: Session) -> Session:
    if not session.options.introspect:
        raise MigrationError(
            "--smoke starts the project's server, and --no-introspect does not run the project: "
            "use one of them"
        )
    return replace(session, smoke=smoke_test(session.project, session.options.python))


def _update_baseline(session: Session) -> int:
    file = session.options.baseline
    if file is None:
        raise MigrationError(
            "--update-baseline needs --baseline FILE, or baseline in pyproject.toml"
        )
    if session.failure:
        return _finish(session)  # the findings of introspection would be missing
    number = write_baseline(file, session.project, session.found)
    _log(f"{count(number, 'finding')} written to {file}")
    return 0


def plan(path: Path, given: Mapping[str, Any], format: str) -> int:
    """``bridge migrate plan``"""
    session = _session(path, given)
    _print(PLAN_FORMATS[format](plans.plan(session), session.options.verbose))
    return _finish(session)


def fix(
    path: Path, given: Mapping[str, Any], write: bool, unsafe_fixes: bool, allow_dirty: bool
) -> int:
    """``bridge migrate fix``"""
    if write and not allow_dirty:
        _refuse_dirty(path)
    session = _session(path, given)
    problem = _why_not_installable(session)

    def narrow(report: runner.Report) -> runner.Report:
        report = session.without_baseline(report)
        return replace(report, findings=as_unsafe(report.findings)) if problem else report

    changes = fixer.fix(
        session.project,
        session.rules,
        unsafe=unsafe_fixes,
        report=narrow(session.report),
        verbose=session.options.verbose,
        narrow=narrow,
    )
    _print(fixer.unified_diff(session.project, changes))
    if write:
        if not allow_dirty:
            _refuse_ignored(session.project, changes)
        write_texts(changes.after)
    if problem:
        _log(problem)
    if unsafe_fixes:
        _log_kept_commands(session.project, changes)
    _log(_outcome(changes, write, unsafe_fixes))
    if write:
        _log_new_files(changes)
    return _finish(replace(session, report=changes.remaining))


def _why_not_installable(session: Session) -> str:
    """Why the requirement that fixes add cannot be installed; empty if it can, or none adds it."""
    if not any(adds_bridge(each.fix) for each in session.report.findings):
        return ""
    options = session.options
    return why_not_installable(session.project, options.python, introspect=options.introspect)


def _refuse_dirty(path: Path) -> None:
    changed = uncommitted(path if path.is_dir() else path.parent)
    if changed:
        raise MigrationError(
            f"git has uncommitted changes ({_first(changed)}): commit them first, so that the "
            "fixes can be reviewed and reverted separately, or use --allow-dirty"
        )


def _refuse_ignored(project: Project, changes: fixer.Changes) -> None:
    files = [project.relative(path) for path in ignored(project.root, changes.after)]
    if files:
        raise MigrationError(
            f"git ignores files that would be written ({_first(files)}) and could not restore "
            "them; nothing was written. Skip them with exclude, or use --allow-dirty"
        )


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(quoted_name, names[:3])) + (", ..." if len(names) > 3 else "")


def _log_new_files(changes: fixer.Changes) -> None:
    """``git checkout`` does not remove new files."""
    new = [os.path.relpath(path) for path in changes.after if changes.before[path] is None]
    if new:
        _log(f"New files, to be removed separately when reverting: rm {shlex.join(new)}")


def _log_kept_commands(project: Project, changes: fixer.Changes) -> None:
    """The start commands that no fix replaces, and why."""
    for finding in changes.remaining.findings:
        if finding.code == "X501" and finding.fix is None:
            _log(f"{project.shown(finding.path)}:{finding.line} is unchanged: {finding.help}")


def _outcome(changes: fixer.Changes, written: bool, unsafe_fixes: bool) -> str:
    if not changes.after:
        left = 0 if unsafe_fixes else sum(bool(each.fix) for each in changes.remaining.findings)
        return f"No safe fix; {left} with --unsafe-fixes." if left else "Nothing to fix."
    fixes = count(len(changes.fixed), "fix", "fixes")
    files = count(len(changes.after), "file")
    if written:
        remaining = count(len(changes.remaining.findings), "finding")
        return f"{fixes} written to {files}. {remaining} left."
    return f"{fixes} in {files} would be written with --write."


def explain(rule: str | None) -> int:
    """``bridge migrate explain``"""
    _print(explanations.list_rules() if rule is None else explanations.explain(rule))
    return 0


# -- shared ----------------------------------------------------------------------------------------


def _session(path: Path, given: Mapping[str, Any]) -> Session:
    folder = path if path.is_dir() else path.parent
    with _progress() as progress:
        return run_check(path, read_options(folder, given), progress)


def _finish(session: Session) -> int:
    """Log what could not be checked.

    :returns: the exit code.
    """
    for problem in session.report.problems:
        path = session.project.shown(problem.path)
        _log(
            f"{path}:{problem.line}: {problem.message}"
            if problem.line
            else f"{path} {problem.message}"
        )
    if session.failure:
        _log(session.failure)
    return session.exit_code


def _log(text: str) -> None:
    print(f"bridge: {printable(text)}", file=sys.stderr)


def _print(text: str) -> None:
    """Print text to stdout, with colours on a terminal."""
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
def _progress() -> Iterator[runner.Progress]:
    """A progress bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("Checking"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("check", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
