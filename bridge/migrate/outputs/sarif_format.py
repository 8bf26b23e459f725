"""A check as SARIF 2.1.0, which code hosts show as annotations: one log with one run.

Paths are relative to the project's folder; lines and columns count from 1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge._version import __version__
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule
from bridge.migrate.session import Session

__all__ = ["as_sarif"]

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}


def as_sarif(session: Session) -> str:
    """The report."""
    driver = {
        "name": "bridge migrate",
        "version": __version__,
        "rules": [_rule(rule) for rule in session.rules],
    }
    run = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"PROJECT": {"uri": session.project.root.as_uri() + "/"}},
        "invocations": [_invocation(session)],
        "results": [_result(session, each) for each in session.report.findings],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {"id": rule.code, "name": rule.name, "shortDescription": {"text": rule.summary}}


def _invocation(session: Session) -> dict[str, Any]:
    """Whether everything could be checked; failures are notifications."""
    notes: list[dict[str, Any]] = []
    if session.failure:
        notes.append({"level": "error", "message": {"text": session.failure}})
    problems = session.smoke.problems if session.smoke is not None else ()
    notes += [{"level": "error", "message": {"text": f"smoke test: {each}"}} for each in problems]
    for problem in session.report.problems:
        uri = _uri(session, problem.path)
        notes.append(
            {
                "level": "error",
                "message": {"text": problem.message},
                "locations": [_location(uri, problem.line, 1)],
            }
        )
    return {"executionSuccessful": not notes, "toolExecutionNotifications": notes}


def _result(session: Session, finding: Finding) -> dict[str, Any]:
    severity = finding.severity(session.project.target) or Severity.INFO
    uri = _uri(session, finding.path)
    return {
        "ruleId": finding.code,
        "level": _LEVELS[severity],
        "message": {"text": f"{finding.message}. Help: {finding.help}."},
        "locations": [_location(uri, finding.line, finding.column)],
        "properties": {"severity": severity.name.lower(), "source": finding.source.value},
    }


def _uri(session: Session, path: Path) -> str:
    """A relative URI reference, percent-encoded: RFC 3986, section 4.2."""
    name = session.project.relative(path)
    return quote(os.fsencode(name if os.path.isabs(name) else f"./{name}" if ":" in name else name))


def _location(uri: str, line: int, column: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": uri, "uriBaseId": "PROJECT"}}
    if line:
        place["region"] = {"startLine": line, "startColumn": max(column, 1)}
    return {"physicalLocation": place}
