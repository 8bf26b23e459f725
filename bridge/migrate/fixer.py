"""Applies fixes in memory, until none is left.

Input: a project, rules, and whether to apply unsafe fixes. Output: the new texts of the changed
files. They are written by :mod:`bridge.migrate.writing`.

Of fixes that overlap, one is applied; the others wait for the next pass, in which the rules check
the changed text. A second run changes nothing, because the first one ends when no fix is left.

A file that can be parsed stays so. Fixes that would break it are dropped, with their edits in other
files, and the report lists the file as a problem.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.display import quoted_name
from bridge.migrate.findings import Edit, Finding, Fix, NewFile, Problem
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule
from bridge.migrate.runner import Report, check
from bridge.migrate.text import CannotRead, Text
from bridge.migrate.toml_items import syntax_error

__all__ = ["Changes", "fix", "unified_diff"]

_MAX_PASSES = 10


@dataclass(frozen=True)
class Changes:
    """The result of fixing a project.

    :ivar before: the current text of each changed file; None for a new one.
    :ivar after: its new text.
    :ivar fixed: the findings whose fixes were applied.
    :ivar remaining: the report of a check afterwards, with the files that fixes would have broken
        as problems.
    """

    before: dict[Path, Text | None]
    after: dict[Path, Text]
    fixed: tuple[Finding, ...]
    remaining: Report


def fix(
    project: Project,
    rules: Sequence[Rule],
    *,
    unsafe: bool,
    report: Report,
    verbose: bool = False,
    narrow: Callable[[Report], Report] = lambda report: report,
) -> Changes:
    """Apply all fixes.

    :param unsafe: whether to apply unsafe fixes, too.
    :param report: of a check of the project in its current state.
    :param verbose: see :func:`bridge.migrate.runner.check`.
    :param narrow: removes the findings that must not be fixed, such as those of the baseline, from
        the report of a later check.
    """
    fixed: list[Finding] = []
    after: dict[Path, Text] = {}
    excluded: dict[Path, set[str]] = defaultdict(set)
    for _ in range(_MAX_PASSES):
        texts, applied = _one_pass(project, report.findings, unsafe, excluded)
        if not texts:
            break
        after.update(texts)
        fixed.extend(applied)
        project = project.with_texts(after)
        report = narrow(check(project, rules, verbose=verbose))
    before = {path: project.original(path) for path in after}
    changed = {path: text for path, text in after.items() if text != before[path]}
    broken = tuple(_broken_by(path, codes) for path, codes in sorted(excluded.items()))
    report = replace(report, problems=(*report.problems, *broken))
    return Changes({path: before[path] for path in changed}, changed, tuple(fixed), report)


def _one_pass(
    project: Project, findings: Sequence[Finding], unsafe: bool, excluded: dict[Path, set[str]]
) -> tuple[dict[Path, Text], list[Finding]]:
    """The new texts, and the findings that they fix.

    :param excluded: the files that get no fix, and the codes of the rules whose fixes broke them.
        This pass adds the files that it would break.
    """
    while True:
        texts, applied = _apply(project, findings, unsafe, excluded)
        broken = {path for path in texts if _is_broken(project, path, texts[path])}
        if not broken:
            return texts, applied
        for finding in applied:
            for path in broken & _paths(finding.fix):
                excluded[path].add(finding.code)


def _is_broken(project: Project, path: Path, text: Text) -> bool:
    """Whether the new text cannot be parsed, although the current one can."""
    before = project.text_of(path) if project.exists(path) else None
    return not _parses(path, text) and (before is None or _parses(path, before))


def _parses(path: Path, text: Text) -> bool:
    if path.suffix == ".toml" or path.name == "Pipfile":
        return not syntax_error(text.text)
    if path.suffix != ".py":
        return True
    try:
        return Module(path, "", text).tree is not None
    except CannotRead:
        return False


def _paths(fix: Fix | None) -> set[Path]:
    return {edit.path for edit in fix.edits} if fix is not None else set()


def _broken_by(path: Path, codes: set[str]) -> Problem:
    rules = ", ".join(sorted(codes))
    return Problem(
        path, 0, f"is unchanged: the fixes of {rules} would make it unparsable, a bug in bridge"
    )


def _apply(
    project: Project, findings: Iterable[Finding], unsafe: bool, excluded: Mapping[Path, object]
) -> tuple[dict[Path, Text], list[Finding]]:
    accepted: dict[Path, list[Edit]] = defaultdict(list)
    new: dict[Path, Text] = {}
    applied: list[Finding] = []
    for finding in findings:
        if finding.fix is None or not (finding.fix.safe or unsafe):
            continue
        if not _paths(finding.fix).isdisjoint(excluded):
            continue
        if _accept(project, finding.fix, accepted, new):
            applied.append(finding)
    texts = {path: _edited(project.text_of(path), edits) for path, edits in accepted.items()}
    return {**texts, **new}, applied


def _accept(
    project: Project, fix: Fix, accepted: dict[Path, list[Edit]], new: dict[Path, Text]
) -> bool:
    """Accept all edits of one fix, or none."""
    for edit in fix.edits:
        if isinstance(edit, NewFile) and (edit.path in new or project.exists(edit.path)):
            return False
        if isinstance(edit, Edit) and not _fits(edit, accepted[edit.path]):
            return False
    for edit in fix.edits:
        if isinstance(edit, NewFile):
            new[edit.path] = Text(edit.text, "utf-8", "\n")
        else:
            accepted[edit.path].append(edit)
    return bool(fix.edits)


def _fits(edit: Edit, accepted: Sequence[Edit]) -> bool:
    """Whether it overlaps no other edit; an equal edit, such as the same import, is shared."""
    return edit in accepted or all(
        (edit.end <= other.start or edit.start >= other.end)
        and (edit.start, edit.end) != (other.start, other.end)
        for other in accepted
    )


def _edited(text: Text, edits: Iterable[Edit]) -> Text:
    new = text.text
    ordered = sorted(dict.fromkeys(edits), key=lambda each: (each.start, each.end))
    for edit in reversed(ordered):  # insertions at one place keep their order
        inserted = re.sub(r"\r?\n", lambda _: text.newline, edit.text)
        new = new[: edit.start] + inserted + new[edit.end :]
    return Text(new, text.encoding, text.newline)


def unified_diff(project: Project, changes: Changes) -> str:
    """The changes as a diff for ``git apply`` and ``patch -p1``."""
    parts: list[str] = []
    for path in sorted(changes.after):
        name, before = project.relative(path), changes.before[path]
        parts += difflib.unified_diff(
            _lines(before),
            _lines(changes.after[path]),
            "/dev/null" if before is None else _diff_name(f"a/{name}"),
            _diff_name(f"b/{name}"),
        )
    return "".join(part if part.endswith("\n") else f"{part}\n{_NO_NEWLINE}\n" for part in parts)


def _diff_name(name: str) -> str:
    """A name with a space is ended by a tab, as in git's output: GNU patch reads up to it."""
    return f"{quoted_name(name)}\t" if " " in name else quoted_name(name)


_NO_NEWLINE = "\\ No newline at end of file"


def _lines(text: Text | None) -> list[str]:
    return [] if text is None else re.findall(r"[^\n]*\n|[^\n]+", text.text)
