"""Findings grouped by rule, and the phrases that all outputs share.

Input: findings. Output: groups, the worst first, and text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import groupby

from bridge.migrate.findings import Finding, Severity, Source, Target
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule
from bridge.migrate.smoke_result import Smoke

__all__ = [
    "SOURCES",
    "Group",
    "count",
    "details_note",
    "groups",
    "place",
    "severity_counts",
    "smoke_rows",
    "summary",
]

SOURCES = {
    Source.SOURCES: "sources",
    Source.RUNTIME: "running project",
    Source.DEPLOY: "deploy file",
}


@dataclass(frozen=True)
class Group:
    """The findings of one rule with the same severity.

    :ivar severity: on the target.
    """

    code: str
    summary: str
    severity: Severity
    findings: tuple[Finding, ...]


def groups(findings: Iterable[Finding], target: Target, rules: Iterable[Rule]) -> list[Group]:
    """The findings by rule, the worst first."""
    summaries = {rule.code: rule.summary for rule in rules}
    found = [(each.severity(target) or Severity.INFO, each) for each in findings]
    found.sort(key=lambda pair: (-pair[0], pair[1].code))  # stable: by place within a rule
    return [
        Group(code, summaries.get(code, ""), severity, tuple(each for _, each in pairs))
        for (severity, code), pairs in groupby(found, key=lambda pair: (pair[0], pair[1].code))
    ]


def place(project: Project, finding: Finding) -> str:
    """``shop/views.py:12:5``; only the path if the finding has no line."""
    parts = [project.shown(finding.path)]
    if finding.line:
        parts += [str(finding.line), str(finding.column)]
    return ":".join(parts)


def count(number: int, word: str, plural: str = "") -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {word if number == 1 else plural or f'{word}s'}"


_NAMES = {
    Severity.CRITICAL: "critical",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}


def severity_counts(counts: Mapping[Severity, int]) -> str:
    """``1 critical, 2 errors``"""
    numbers = [
        f"{number} {name}" if severity is Severity.CRITICAL else count(number, name)
        for severity, name in _NAMES.items()
        if (number := counts.get(severity, 0))
    ]
    return ", ".join(numbers)


def summary(severities: Iterable[Severity], target: Target) -> str:
    """The number of findings by severity, and the target."""
    counts = Counter(severities)
    if not counts:
        return f"Nothing found for target {target}"
    found = count(counts.total(), "finding")
    return f"Found {found} for target {target}: {severity_counts(counts)}"


def details_note(details: Sized) -> str:
    """How many findings are not shown, because they change nothing; empty without any."""
    if not details:
        return ""
    change = "changes" if len(details) == 1 else "change"
    are = "is" if len(details) == 1 else "are"
    return f"{count(len(details), 'finding')} that {change} nothing here {are} not shown: --verbose"


def smoke_rows(smoke: Smoke) -> Iterator[tuple[str, str]]:
    """What a smoke test found, as names and texts."""
    for path, status in smoke.pages.items():
        yield path, "no answer" if status is None else str(status)
    if smoke.settings is not None:
        yield "settings", smoke.settings
    if smoke.debug is not None:
        yield "DEBUG", "on" if smoke.debug else "off"
    if smoke.user:
        other = f"; in the deployment {smoke.deployed_user}" if smoke.deployed_user else ""
        yield "user", f"{smoke.user}{other}"
    if smoke.ports:
        yield "ports", ", ".join(smoke.ports)
