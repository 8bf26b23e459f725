"""Helpers for tests of rules: a project from a dictionary, and the findings of one rule.

Input: the texts of files by path. Output: findings, or an assertion. Everything runs in the test's
process, with the runner and fixer of the command.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bridge.migrate.facts import Facts
from bridge.migrate.findings import Finding, Target
from bridge.migrate.fixer import fix
from bridge.migrate.project import Project, open_project
from bridge.migrate.rule import select_rules
from bridge.migrate.runner import check

__all__ = ["check_noop", "check_transformed", "findings", "fixed", "project_of", "write"]

PATH = "shop/code.py"
"""The default path of a single file."""


@contextmanager
def project_of(
    files: Mapping[str, str],
    *,
    target: str = "native",
    facts: Facts | None = None,
    requirement: str | None = None,
) -> Iterator[Project]:
    """A project with these files, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="bridge-migrate-") as folder:
        root = write(Path(folder), files)
        yield open_project(root, target=Target(target), facts=facts, requirement=requirement)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder, in UTF-8, and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def findings(
    files: Mapping[str, str], code: str, *, target: str = "native", facts: Facts | None = None
) -> list[Finding]:
    """The findings of one rule in a project, with relative paths."""
    with project_of(files, target=target, facts=facts) as project:
        report = check(project, select_rules([code]), verbose=True)
        assert report.problems == ()
        found = report.findings
        return [replace(each, path=Path(project.relative(each.path))) for each in found]


def fixed(
    files: Mapping[str, str],
    code: str,
    *,
    target: str = "native",
    unsafe: bool = True,
    facts: Facts | None = None,
    requirement: str | None = None,
) -> dict[str, str]:
    """The files after one rule's fixes, including new ones. A second fix must change nothing."""
    rules = select_rules([code])
    with project_of(files, target=target, facts=facts, requirement=requirement) as project:
        report = check(project, rules, verbose=True)
        changes = fix(project, rules, unsafe=unsafe, report=report, verbose=True)
        again = project.with_texts(changes.after)
        report = check(again, rules, verbose=True)
        second = fix(again, rules, unsafe=unsafe, report=report, verbose=True)
        assert not second.fixed, f"a second fix changes more: {second.fixed}"
        new = {project.relative(path): text.text for path, text in changes.after.items()}
        return {**files, **new}


def check_noop(
    code: str,
    text: str,
    *,
    path: str = PATH,
    files: Mapping[str, str] | None = None,
    target: str = "native",
    facts: Facts | None = None,
) -> None:
    """The rule finds nothing in this file.

    :param files: the other files of the project.
    """
    found = findings({**(files or {}), path: text}, code, target=target, facts=facts)
    assert found == [], found


def check_transformed(
    code: str,
    before: str,
    after: str,
    *,
    path: str = PATH,
    files: Mapping[str, str] | None = None,
    target: str = "native",
    safe: bool = True,
    facts: Facts | None = None,
) -> None:
    """The rule's fix turns ``before`` into ``after``, changes nothing else, and runs only once.

    :param safe: whether ``fix`` applies it without ``--unsafe-fixes``.
    """
    project = {**(files or {}), path: before}
    result = fixed(project, code, target=target, facts=facts)
    assert result[path] == after
    assert {**result, path: before} == project, "other files changed"
    safely = fixed(project, code, target=target, unsafe=False, facts=facts)
    assert (safely[path] == after) is safe, "safe" if safely[path] == after else "unsafe"
