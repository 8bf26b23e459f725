"""A baseline: a file of existing findings, which later checks ignore.

Input: findings. Output: those that are new. A finding is identified by its rule, its file and the
text of its line, so it is new only if that line changes, not if it moves. Equal findings in one
file are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bridge.errors import MigrationError
from bridge.migrate.findings import Finding
from bridge.migrate.project import Project

__all__ = ["new_findings", "read_baseline", "write_baseline"]

Key = tuple[str, str, str]


def _key(project: Project, finding: Finding) -> Key:
    return finding.code, project.relative(finding.path), finding.line_text


def read_baseline(path: Path) -> Counter[Key]:
    """The findings of a baseline file; none if the file does not exist.

    :raises MigrationError: it is not a baseline file.
    """
    if not path.exists():
        return Counter()
    try:
        data = json.loads(path.read_text("utf-8"))
        return Counter(
            {(each["rule"], each["path"], each["line"]): int(each["count"]) for each in data}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MigrationError(
            f"{path} is not a baseline file ({error}); write a new one with --update-baseline"
        ) from None


def write_baseline(path: Path, project: Project, findings: Iterable[Finding]) -> int:
    """Write a baseline with all findings.

    :returns: their number.
    """
    counts = Counter(_key(project, finding) for finding in findings)
    rows = [
        {"rule": rule, "path": file, "line": line, "count": count}
        for (rule, file, line), count in sorted(counts.items())
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    return counts.total()


def new_findings(
    baseline: Counter[Key], project: Project, findings: Iterable[Finding]
) -> list[Finding]:
    """The findings that are not in a baseline."""
    remaining = Counter(baseline)
    new: list[Finding] = []
    for finding in findings:
        key = _key(project, finding)
        if remaining[key] > 0:
            remaining[key] -= 1
        else:
            new.append(finding)
    return new
