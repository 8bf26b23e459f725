"""A check as Markdown, for an issue or a merge request: one table for each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.migrate.display import printable
from bridge.migrate.findings import severity_letters
from bridge.migrate.outputs.grouping import (
    SOURCES,
    Group,
    details_note,
    groups,
    place,
    smoke_rows,
    summary,
)
from bridge.migrate.session import Session
from bridge.migrate.smoke_result import Smoke

__all__ = ["as_markdown"]


def as_markdown(session: Session) -> str:
    """The report."""
    heading = summary(session.severities(), session.project.target)
    lines = [f"# {heading}", "", f"Advice: {printable(session.advice.reason)}.", ""]
    for group in groups(session.report.findings, session.project.target, session.rules):
        lines += [*_group(session, group), ""]
    note = details_note(session.report.details)
    lines += [f"{note}."] if note else []
    if session.smoke is not None:
        lines += ["", *_smoke(session.smoke)]
    return "\n".join(lines).rstrip() + "\n"


def _smoke(smoke: Smoke) -> Iterator[str]:
    yield f"## Smoke test of {_code(smoke.command)} ({_code(smoke.place)})"
    yield ""
    yield "| | |"
    yield "|---|---|"
    rows = [*smoke_rows(smoke), *(("problem", each) for each in smoke.problems)]
    yield from (f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)


def _group(session: Session, group: Group) -> Iterator[str]:
    yield f"## {group.code} ({group.severity.name.lower()}): {_cell(group.summary)}"
    yield ""
    yield "| place | message | help | native/bridge | source | fix |"
    yield "|---|---|---|---|---|---|"
    for finding in group.findings:
        fix = "" if finding.fix is None else "safe" if finding.fix.safe else "unsafe"
        cells = [
            _code(place(session.project, finding)),
            _cell(finding.message),
            _cell(finding.help),
            severity_letters(finding.native, finding.bridge),
            SOURCES[finding.source],
            fix,
        ]
        yield f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """A code span in a table's cell; its fence is longer than any row of backticks inside."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{printable(text)}{pad}{fence}".replace("|", "\\|")


def _cell(text: str) -> str:
    return printable(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
