"""Every rule over every file of a project.

What enters: a :class:`~bridge.migrate.project.Project` and rules. What leaves: a :class:`Report`.
Rules run on the calling thread, or, over many files, in a few worker processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.migrate.findings import Finding, Problem
from bridge.migrate.module import CannotRead, Module
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule
from bridge.migrate.suppress import is_ignored

__all__ = ["Report", "check", "check_modules"]

Progress = Callable[[int, int], None]
"""Called with how many files are done, and of how many."""


@dataclass(frozen=True)
class Report:
    """What came of one check.

    :ivar findings: those that are not suppressed and matter on the project's target, by place.
    :ivar suppressed: how many a comment suppressed.
    :ivar problems: the files that could not be read or parsed.
    """

    findings: tuple[Finding, ...]
    suppressed: int
    problems: tuple[Problem, ...]


def check(project: Project, rules: Sequence[Rule], progress: Progress | None = None) -> Report:
    """Run the rules.

    :param progress: told after each file.
    """
    found, problems = check_modules(project, rules, project.modules, progress)
    for rule in rules:
        found.extend(rule.check_project(project))
    return _report(project, found, problems)


def check_modules(
    project: Project,
    rules: Sequence[Rule],
    modules: Sequence[Module],
    progress: Progress | None = None,
) -> tuple[list[Finding], list[Problem]]:
    """Run what rules have for single modules."""
    found: list[Finding] = []
    problems: list[Problem] = []
    for done, module in enumerate(modules, 1):
        try:
            found.extend(_check_module(project, rules, module))
        except CannotRead as error:
            problems.append(Problem(module.path, error.line, str(error)))
        if progress is not None:
            progress(done, len(modules))
    return found, problems


def _check_module(project: Project, rules: Sequence[Rule], module: Module) -> Iterator[Finding]:
    text = module.text
    for rule in rules:
        if any(trigger in text for trigger in rule.triggers):
            _ = module.tree  # so that a syntax error is told whatever the rule looks at
            yield from rule.check_module(module, project)


def _report(project: Project, found: Iterable[Finding], problems: list[Problem]) -> Report:
    relevant = [each for each in found if each.severity(project.target) is not None]
    lines: dict[Path, list[str]] = {}
    kept = [each for each in relevant if not is_ignored(each, _line_reader(project, each, lines))]
    ordered = sorted(set(kept), key=lambda f: (str(f.path), f.line, f.column, f.code, f.message))
    return Report(tuple(ordered), len(relevant) - len(kept), tuple(problems))


def _line_reader(
    project: Project, finding: Finding, lines: dict[Path, list[str]]
) -> Callable[[int], str]:
    if finding.path not in lines:
        lines[finding.path] = project.lines(finding.path)
    texts = lines[finding.path]
    return lambda number: texts[number - 1] if 1 <= number <= len(texts) else ""
