"""One run of ``bridge migrate``: opens a project, introspects it, and checks it.

Input: the project's folder and :class:`~bridge.migrate.configuration.Options`. Output: a
:class:`Session`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.advice import Advice, advise
from bridge.migrate.agreement import check_settings
from bridge.migrate.baseline import new_findings, read_baseline
from bridge.migrate.configuration import Options
from bridge.migrate.facts import Facts
from bridge.migrate.findings import Finding, Severity, Target
from bridge.migrate.introspect import IntrospectionFailed, introspect
from bridge.migrate.inventory import check_accepted
from bridge.migrate.project import Project, open_project
from bridge.migrate.rule import Rule, select_rules
from bridge.migrate.runner import Progress, Report, check
from bridge.migrate.smoke_result import Smoke
from bridge.migrate.wsgi_servers import served_apps, served_environment

__all__ = ["Session", "run_check"]


@dataclass(frozen=True)
class Session:
    """A checked project.

    :ivar project: with its facts, and the target it was checked for.
    :ivar advice: what it should move to.
    :ivar report: without the findings of the baseline.
    :ivar found: the findings of the report, and those in the baseline.
    :ivar failure: why introspection failed; empty if it succeeded or was disabled.
    :ivar smoke: the result of a smoke test, if one was made.
    """

    project: Project
    options: Options
    advice: Advice
    rules: tuple[Rule, ...]
    report: Report
    found: tuple[Finding, ...]
    failure: str
    smoke: Smoke | None = None

    def without_baseline(self, report: Report) -> Report:
        """A report of the same project, without the findings of the baseline.

        :raises MigrationError: the baseline cannot be read.
        """
        return _without_baseline(self.options, self.project, report)

    @property
    def exit_code(self) -> int:
        """3 introspection failed, 2 a file could not be parsed, 1 findings or a failed smoke test,
        0 clean.
        """
        if self.failure:
            return 3
        if self.report.problems:
            return 2
        if self.smoke is not None and self.smoke.problems:
            return 1
        return 1 if any(map(self.options.fails, self.severities())) else 0

    def severities(self) -> list[Severity]:
        """The severity of each finding, on the target."""
        found = (each.severity(self.project.target) for each in self.report.findings)
        return [severity for severity in found if severity is not None]


def run_check(
    path: Path,
    options: Options,
    progress: Progress | None = None,
    facts: Facts | None = None,
    jobs: int | None = None,
) -> Session:
    """Check a project.

    :param jobs: see :func:`bridge.migrate.runner.check`.
    :param facts: known facts; without them the project is introspected, if ``options`` allow it.
    :raises MigrationError: there is no project at ``path``, its places name different settings
        modules, ``accept`` names no option of it, or the baseline cannot be read.
    """
    project = open_project(
        path,
        settings_module=options.settings,
        exclude=options.exclude,
        requirement=options.requirement,
        accepted=frozenset(options.accept),
    )
    if not options.settings and facts is None:
        check_settings(project)
    check_accepted(project)
    if options.settings and project.module(options.settings) is None and not options.introspect:
        raise MigrationError(f"no settings module {options.settings!r} in {path}")
    failure = ""
    if facts is None:
        facts, failure = _introspect(project, options)
    advice = advise(project.with_facts(facts))
    target = advice.target if options.target == "auto" else Target(options.target)
    project = project.with_facts(facts, target)
    rules = select_rules(options.select, options.ignore)
    report = check(project, rules, progress, jobs=jobs, verbose=options.verbose)
    new = _without_baseline(options, project, report)
    return Session(project, options, advice, rules, new, report.findings, failure)


def _without_baseline(options: Options, project: Project, report: Report) -> Report:
    if options.baseline is None:
        return report
    baseline = read_baseline(options.baseline)
    return replace(report, findings=tuple(new_findings(baseline, project, report.findings)))


def _introspect(project: Project, options: Options) -> tuple[Facts | None, str]:
    if not options.introspect:
        return None, ""
    targets = served_apps(project)
    if not project.is_django:
        return _only_targets(project, options, targets), ""
    arguments = (project, options.python, options.introspect_timeout_s, targets)
    try:
        return introspect(*arguments, served_environment(project)), ""
    except IntrospectionFailed:
        pass  # the variables may name what only the deployment has, such as a folder for logs
    try:
        return introspect(*arguments), ""
    except IntrospectionFailed as error:
        return None, str(error)


def _only_targets(project: Project, options: Options, targets: list[str]) -> Facts | None:
    """Whether the apps of a project without Django can be imported; None if that is not known."""
    if not targets:
        return None
    try:
        facts = introspect(project, options.python, options.introspect_timeout_s, targets)
    except IntrospectionFailed:
        return None  # an app that serves when it is imported, say
    return Facts(python=facts.python, targets=facts.targets)
