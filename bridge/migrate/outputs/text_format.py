"""A check as plain text, similar to ruff's: grouped by rule, the worst first.

The command line colours it on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.migrate.display import printable
from bridge.migrate.findings import Finding, severity_letters
from bridge.migrate.outputs.grouping import (
    Group,
    count,
    details_note,
    groups,
    place,
    smoke_rows,
    summary,
)
from bridge.migrate.session import Session
from bridge.migrate.smoke_result import Smoke

__all__ = ["as_text"]


def as_text(session: Session) -> str:
    """The report."""
    found = groups(session.report.findings, session.project.target, session.rules)
    blocks = [_lines(_group(session, group)) for group in found]
    smoke = [] if session.smoke is None else [_lines(_smoke(session.smoke))]
    return "\n\n".join([*blocks, _lines(_footer(session)), *smoke]) + "\n"


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(printable, lines))


def _group(session: Session, group: Group) -> Iterator[str]:
    yield f"{group.code} {group.severity.name.lower()}: {group.summary}"
    helps = {finding.help for finding in group.findings}
    for finding in group.findings:
        yield f"  {place(session.project, finding)}: {finding.message} {_marks(finding)}"
        if len(helps) > 1:
            yield f"    help: {finding.help}"
    if len(helps) == 1:
        yield f"  help: {helps.pop()}"


def _marks(finding: Finding) -> str:
    """``[S, E/-, fix]``: the source, the severities native and through bridge, the fix."""
    marks = [finding.source.value, severity_letters(finding.native, finding.bridge)]
    if finding.fix is not None:
        marks.append("fix" if finding.fix.safe else "unsafe fix")
    return f"[{', '.join(marks)}]"


def _footer(session: Session) -> Iterator[str]:
    """The summary, and the next steps."""
    report = session.report
    yield f"{summary(session.severities(), session.project.target)}. {_advice(session)}"
    note = details_note(report.details)
    if note:
        yield f"{note}."
    safe = sum(1 for each in report.findings if each.fix and each.fix.safe)
    unsafe = sum(1 for each in report.findings if each.fix and not each.fix.safe)
    if safe or unsafe:
        more = f" ({unsafe} more with --unsafe-fixes)" if unsafe else ""
        yield f"{safe} fixable with `bridge migrate fix`{more}."
    if report.suppressed:
        yield f"{count(report.suppressed, 'finding')} suppressed by comments."
    in_baseline = len(session.found) - len(report.findings)
    if in_baseline:
        yield f"{count(in_baseline, 'finding')} in the baseline."


def _smoke(smoke: Smoke) -> Iterator[str]:
    """``/ 200``, in columns."""
    yield f"Smoke test of {smoke.command} ({smoke.place})"
    rows = list(smoke_rows(smoke))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        yield f"  {name:<{width}}  {value}"
    yield from (f"  problem: {each}" for each in smoke.problems)


def _advice(session: Session) -> str:
    if session.options.target != "auto":
        return "(You chose the target.)"
    move = "stay on WSGI" if session.advice.move == "stay" else f"move to {session.advice.move}"
    return f"(Advice: {move}, because {session.advice.reason}.)"
