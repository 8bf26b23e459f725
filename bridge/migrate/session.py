"""One run of ``bridge migrate``: from a path and choices to a report.

What enters: the project's folder and :class:`~bridge.migrate.configuration.Choices`. What leaves: a
:class:`Session`. The project is opened, asked about itself, and checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.advice import Advice, advise
from bridge.migrate.baseline import new_findings, read_baseline
from bridge.migrate.configuration import Choices
from bridge.migrate.facts import Facts
from bridge.migrate.findings import Finding, Severity, Target
from bridge.migrate.introspect import IntrospectionFailed, introspect
from bridge.migrate.project import Project, open_project
from bridge.migrate.rule import Rule, select_rules
from bridge.migrate.runner import Progress, Report, check

__all__ = ["Session", "run_check"]


@dataclass(frozen=True)
class Session:
    """What came of it.

    :ivar project: with the target it was checked for.
    :ivar advice: what it should move to.
    :ivar report: without what the baseline has.
    :ivar found: all findings, those in the baseline as well.
    :ivar failure: why the project could not be asked; empty if it was, or was not to be.
    """

    project: Project
    choices: Choices
    advice: Advice
    rules: tuple[Rule, ...]
    report: Report
    found: tuple[Finding, ...]
    failure: str

    def without_baseline(self, report: Report) -> Report:
        """A report of the same project, without what the baseline has.

        :raises MigrationError: the baseline cannot be read.
        """
        return _without_baseline(self.choices, self.project, report)

    @property
    def exit_code(self) -> int:
        """3 introspection failed, 2 a file could not be parsed, 1 findings, 0 clean."""
        if self.failure:
            return 3
        if self.report.problems:
            return 2
        return 1 if any(map(self.choices.fails, self.severities())) else 0

    def severities(self) -> list[Severity]:
        """How bad each finding is, on the target."""
        found = (each.severity(self.project.target) for each in self.report.findings)
        return [severity for severity in found if severity is not None]


def run_check(
    path: Path,
    choices: Choices,
    progress: Progress | None = None,
    facts: Facts | None = None,
    jobs: int | None = None,
) -> Session:
    """Check a project.

    :param jobs: see :func:`bridge.migrate.runner.check`.
    :param facts: what it has told already; otherwise it is asked, if ``choices`` say so.
    :raises MigrationError: there is no project there, or the baseline cannot be read.
    """
    project = open_project(path, settings_module=choices.settings, exclude=choices.exclude)
    if choices.settings and project.module(choices.settings) is None and not choices.introspect:
        raise MigrationError(f"there is no settings module {choices.settings!r} in {path}")
    failure = ""
    if facts is None:
        facts, failure = _ask(project, choices)
    advice = advise(project.with_facts(facts))
    target = advice.target if choices.target == "auto" else Target(choices.target)
    project = project.with_facts(facts, target)
    rules = select_rules(choices.select, choices.ignore)
    report = check(project, rules, progress, jobs=jobs)
    new = _without_baseline(choices, project, report)
    return Session(project, choices, advice, rules, new, report.findings, failure)


def _without_baseline(choices: Choices, project: Project, report: Report) -> Report:
    if choices.baseline is None:
        return report
    known = read_baseline(choices.baseline)
    return replace(report, findings=tuple(new_findings(known, project, report.findings)))


def _ask(project: Project, choices: Choices) -> tuple[Facts | None, str]:
    if not (choices.introspect and project.is_django):
        return None, ""
    try:
        return introspect(project, choices.python, choices.introspect_timeout_s), ""
    except IntrospectionFailed as error:
        return None, str(error)
