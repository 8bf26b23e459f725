"""What all outputs share: findings grouped by rule, and words for numbers and severities.

What enters: a session. What leaves: groups, the worst first, and phrases.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.session import Session

__all__ = ["Group", "count", "groups", "letters", "place", "summary"]

SOURCES = {
    Source.SOURCES: "sources",
    Source.RUNTIME: "running project",
    Source.DEPLOY: "deploy file",
}


@dataclass(frozen=True)
class Group:
    """The findings of one rule that are equally bad.

    :ivar severity: on the target.
    """

    code: str
    summary: str
    severity: Severity
    findings: tuple[Finding, ...]


def groups(session: Session) -> list[Group]:
    """The findings by rule, the worst first."""
    target = session.project.target
    summaries = {rule.code: rule.summary for rule in session.rules}
    found = [(each.severity(target) or Severity.INFO, each) for each in session.report.findings]
    found.sort(key=lambda pair: (-pair[0], pair[1].code))  # stable: by place within a rule
    return [
        Group(code, summaries.get(code, ""), severity, tuple(each for _, each in pairs))
        for (severity, code), pairs in groupby(found, key=lambda pair: (pair[0], pair[1].code))
    ]


def letters(finding: Finding) -> str:
    """Severity native and through bridge, as in ``E/-``."""
    return "/".join(
        "-" if each is None else each.letter for each in (finding.native, finding.bridge)
    )


def place(session: Session, finding: Finding) -> str:
    """``shop/views.py:12:5``; without what it does not have."""
    parts = [session.project.relative(finding.path)]
    if finding.line:
        parts += [str(finding.line), str(finding.column)]
    return ":".join(parts)


def count(number: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


_WORDS = {
    Severity.CRITICAL: "critical",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}


def summary(session: Session) -> str:
    """How many findings there are, of what kind, and for which target."""
    counts = Counter(session.severities())
    target = f"for target {session.project.target}"
    if not counts:
        return f"Nothing found {target}"
    kinds = [
        f"{number} {_WORDS[severity]}" if severity is Severity.CRITICAL else count(number, word)
        for severity, word in _WORDS.items()
        if (number := counts[severity])
    ]
    return f"Found {count(counts.total(), 'finding')} {target}: {', '.join(kinds)}"
