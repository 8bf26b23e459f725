"""Carry out fixes, in memory, until none is left.

What enters: a project, rules, and whether unsafe fixes are wanted. What leaves: the new texts of
the files that change. Nothing is written here; see :mod:`bridge.migrate.writing`.

Fixes that touch the same text wait for the next pass, when the rules look at the changed text. So
a second run changes nothing: the first one ended when there was nothing left to do.

A file that can be parsed can be parsed afterwards. Where fixes would end that, the file gets none
of them, nor do the other files that the same fixes touch, and the report names it as a problem.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.findings import Edit, Finding, Fix, NewFile, Problem
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule
from bridge.migrate.runner import Report, check
from bridge.migrate.text import CannotRead, Text
from bridge.migrate.toml_items import mistake_in

__all__ = ["Changes", "fix", "fixable", "unified_diff"]

_MOST_PASSES = 10


@dataclass(frozen=True)
class Changes:
    """What fixing comes to.

    :ivar before: the text of each changed file as it is; None for a new one.
    :ivar after: its new text.
    :ivar fixed: the findings whose fixes were carried out.
    :ivar left: what a check finds afterwards. Files that fixes would have broken are problems.
    """

    before: dict[Path, Text | None]
    after: dict[Path, Text]
    fixed: tuple[Finding, ...]
    left: Report


def fixable(finding: Finding, *, unsafe: bool) -> bool:
    """Whether it has a fix that may be carried out."""
    return finding.fix is not None and (finding.fix.safe or unsafe)


def fix(
    project: Project,
    rules: Sequence[Rule],
    *,
    unsafe: bool,
    report: Report,
    narrow: Callable[[Report], Report] = lambda report: report,
) -> Changes:
    """Carry out all fixes.

    :param unsafe: unsafe ones as well.
    :param report: what a check of the project, as it is, found.
    :param narrow: leaves out of a later check what is not to be fixed: what is in the baseline.
    """
    fixed: list[Finding] = []
    after: dict[Path, Text] = {}
    closed: dict[Path, set[str]] = defaultdict(set)
    for _ in range(_MOST_PASSES):
        texts, done = _one_pass(project, report.findings, unsafe, closed)
        if not texts:
            break
        after.update(texts)
        fixed.extend(done)
        project = project.with_texts(after)
        report = narrow(check(project, rules))
    before = {path: project.original(path) for path in after}
    changed = {path: text for path, text in after.items() if text != before[path]}
    broken = tuple(_broken_by(path, codes) for path, codes in sorted(closed.items()))
    report = replace(report, problems=(*report.problems, *broken))
    return Changes({path: before[path] for path in changed}, changed, tuple(fixed), report)


def _one_pass(
    project: Project, findings: Sequence[Finding], unsafe: bool, closed: dict[Path, set[str]]
) -> tuple[dict[Path, Text], list[Finding]]:
    """The new texts, and what was fixed by them.

    :param closed: files that get no fix, and the codes of those that they did not stand. More are
        added where this pass finds them.
    """
    while True:
        texts, done = _carried_out(project, findings, unsafe, closed)
        broken = {path for path in texts if _is_broken(project, path, texts[path])}
        if not broken:
            return texts, done
        for finding in done:
            for path in broken & _paths(finding.fix):
                closed[path].add(finding.code)


def _is_broken(project: Project, path: Path, text: Text) -> bool:
    """Whether it cannot be parsed, and could be until now."""
    before = project.text_of(path) if project.exists(path) else None
    return not _parses(path, text) and (before is None or _parses(path, before))


def _parses(path: Path, text: Text) -> bool:
    if path.suffix == ".toml" or path.name == "Pipfile":
        return not mistake_in(text.text)
    if path.suffix != ".py":
        return True
    try:
        return Module(path, "", text).tree is not None
    except CannotRead:
        return False


def _paths(fix: Fix | None) -> set[Path]:
    return {edit.path for edit in fix.edits} if fix is not None else set()


def _broken_by(path: Path, codes: set[str]) -> Problem:
    named = ", ".join(sorted(codes))
    return Problem(
        path, 0, f"is left as it is: fixed by {named} it could not be parsed, a bug of ours"
    )


def _carried_out(
    project: Project, findings: Iterable[Finding], unsafe: bool, closed: Mapping[Path, object]
) -> tuple[dict[Path, Text], list[Finding]]:
    taken: dict[Path, list[Edit]] = defaultdict(list)
    new: dict[Path, Text] = {}
    done: list[Finding] = []
    for finding in findings:
        if finding.fix is None or not fixable(finding, unsafe=unsafe):
            continue
        if not _paths(finding.fix).isdisjoint(closed):
            continue
        if _take(project, finding.fix, taken, new):
            done.append(finding)
    texts = {path: _edited(project.text_of(path), edits) for path, edits in taken.items()}
    return {**texts, **new}, done


def _take(project: Project, fix: Fix, taken: dict[Path, list[Edit]], new: dict[Path, Text]) -> bool:
    """Take the edits of one fix, all or none."""
    for edit in fix.edits:
        if isinstance(edit, NewFile) and (edit.path in new or project.exists(edit.path)):
            return False
        if isinstance(edit, Edit) and not _fits(edit, taken[edit.path]):
            return False
    for edit in fix.edits:
        if isinstance(edit, NewFile):
            new[edit.path] = Text(edit.text, "utf-8", "\n")
        else:
            taken[edit.path].append(edit)
    return bool(fix.edits)


def _fits(edit: Edit, taken: Sequence[Edit]) -> bool:
    """Whether it overlaps none; the same edit again, such as one more import, is done once."""
    return edit in taken or all(
        (edit.end <= other.start or edit.start >= other.end)
        and (edit.start, edit.end) != (other.start, other.end)
        for other in taken
    )


def _edited(text: Text, edits: Iterable[Edit]) -> Text:
    new = text.text
    ordered = sorted(dict.fromkeys(edits), key=lambda each: (each.start, each.end))
    for edit in reversed(ordered):  # what goes to one place stands there in the order given
        inserted = re.sub(r"\r?\n", lambda _: text.newline, edit.text)
        new = new[: edit.start] + inserted + new[edit.end :]
    return Text(new, text.encoding, text.newline)


def unified_diff(project: Project, changes: Changes) -> str:
    """The changes as ``git apply`` and ``patch -p1`` take them."""
    parts: list[str] = []
    for path in sorted(changes.after):
        name, before = project.relative(path), changes.before[path]
        parts += difflib.unified_diff(
            _lines(before),
            _lines(changes.after[path]),
            "/dev/null" if before is None else f"a/{name}",
            f"b/{name}",
        )
    return "".join(part if part.endswith("\n") else f"{part}\n{_NO_NEWLINE}\n" for part in parts)


_NO_NEWLINE = "\\ No newline at end of file"


def _lines(text: Text | None) -> list[str]:
    return [] if text is None else re.findall(r"[^\n]*\n|[^\n]+", text.text)
