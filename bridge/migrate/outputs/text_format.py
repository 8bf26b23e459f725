"""Text for people, in the manner of ruff: grouped by rule, the worst first.

What enters: a session. What leaves: plain text; the command line colours it on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.migrate.findings import Finding
from bridge.migrate.outputs.grouping import Group, count, groups, letters, place, summary
from bridge.migrate.session import Session

__all__ = ["as_text", "footer"]


def as_text(session: Session) -> str:
    """The whole report."""
    blocks = ["\n".join(_group(session, group)) for group in groups(session)]
    return "\n\n".join([*blocks, "\n".join(footer(session))]) + "\n"


def _group(session: Session, group: Group) -> Iterator[str]:
    yield f"{group.code} {group.severity.name.lower()}: {group.summary}"
    advice = {finding.help for finding in group.findings}
    for finding in group.findings:
        yield f"  {place(session, finding)}: {finding.message} {_marks(finding)}"
        if len(advice) > 1:
            yield f"    help: {finding.help}"
    if len(advice) == 1:
        yield f"  help: {advice.pop()}"


def _marks(finding: Finding) -> str:
    """``[S, E/-, fix]``: where it comes from, how bad it is native and through bridge, the fix."""
    marks = [finding.source.value, letters(finding)]
    if finding.fix is not None:
        marks.append("fix" if finding.fix.safe else "unsafe fix")
    return f"[{', '.join(marks)}]"


def footer(session: Session) -> Iterator[str]:
    """The summary, and what can be done next."""
    report = session.report
    yield f"{summary(session)}. {_why(session)}"
    safe = sum(1 for each in report.findings if each.fix and each.fix.safe)
    unsafe = sum(1 for each in report.findings if each.fix and not each.fix.safe)
    if safe or unsafe:
        more = f" ({unsafe} more with --unsafe-fixes)" if unsafe else ""
        yield f"{safe} fixable with `bridge migrate fix`{more}."
    if report.suppressed:
        yield f"{count(report.suppressed, 'finding')} suppressed by comments."
    frozen = len(session.found) - len(report.findings)
    if frozen:
        yield f"{count(frozen, 'finding')} in the baseline."


def _why(session: Session) -> str:
    if session.choices.target != "auto":
        return "(The target is as you said.)"
    advice = "stay on WSGI" if session.advice.move == "stay" else f"move to {session.advice.move}"
    return f"(Advice: {advice}, because {session.advice.reason}.)"
