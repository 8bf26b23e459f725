"""A check as one JSON object, for programs. Keys may be added, but not removed or changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bridge.migrate.findings import Edit, Finding, Fix
from bridge.migrate.session import Session

__all__ = ["as_json"]


def as_json(session: Session) -> str:
    """The report; paths are relative to the project's folder."""
    project = session.project
    report = {
        "version": 1,
        "project": str(project.root),
        "target": project.target.value,
        "advice": {"move": session.advice.move, "reason": session.advice.reason},
        "introspected": project.facts is not None,
        "introspection_failure": session.failure or None,
        "exit_code": session.exit_code,
        "findings": [_finding(session, each) for each in session.report.findings],
        "details": len(session.report.details),
        "suppressed": session.report.suppressed,
        "in_baseline": len(session.found) - len(session.report.findings),
        "smoke": None if session.smoke is None else asdict(session.smoke),
        "problems": [
            {"path": project.relative(each.path), "line": each.line, "message": each.message}
            for each in session.report.problems
        ],
    }
    return json.dumps(report, indent=2) + "\n"


def _finding(session: Session, finding: Finding) -> dict[str, Any]:
    severity = finding.severity(session.project.target)
    return {
        "rule": finding.code,
        "severity": severity.name.lower() if severity else None,
        "native": finding.native.name.lower() if finding.native else None,
        "bridge": finding.bridge.name.lower() if finding.bridge else None,
        "path": session.project.relative(finding.path),
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "help": finding.help,
        "source": finding.source.value,
        "fix": None if finding.fix is None else _fix(session, finding.fix),
    }


def _fix(session: Session, fix: Fix) -> dict[str, Any]:
    return {
        "description": fix.description,
        "safe": fix.safe,
        "edits": [
            {
                "path": session.project.relative(edit.path),
                "start": edit.start if isinstance(edit, Edit) else None,
                "end": edit.end if isinstance(edit, Edit) else None,
                "text": edit.text,
            }
            for edit in fix.edits
        ],
    }
