"""Markdown, for an issue or a merge request.

What enters: a session. What leaves: one table for each rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.migrate.outputs.grouping import SOURCES, Group, groups, letters, place, summary
from bridge.migrate.session import Session

__all__ = ["as_markdown"]


def as_markdown(session: Session) -> str:
    """The whole report."""
    lines = [f"# {summary(session)}", "", f"Advice: {session.advice.reason}.", ""]
    for group in groups(session):
        lines += [*_group(session, group), ""]
    return "\n".join(lines).rstrip() + "\n"


def _group(session: Session, group: Group) -> Iterator[str]:
    yield f"## {group.code} ({group.severity.name.lower()}): {_cell(group.summary)}"
    yield ""
    yield "| where | what | to do | native/bridge | from | fix |"
    yield "|---|---|---|---|---|---|"
    for finding in group.findings:
        fix = "" if finding.fix is None else "safe" if finding.fix.safe else "unsafe"
        cells = [
            f"`{place(session, finding)}`",
            _cell(finding.message),
            _cell(finding.help),
            letters(finding),
            SOURCES[finding.source],
            fix,
        ]
        yield f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
