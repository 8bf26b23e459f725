"""Runs every rule over every file of a project.

Input: a :class:`~bridge.migrate.project.Project` and rules. Output: a :class:`Report`. Runs on: the
calling thread; if there are many files to parse, also in worker processes, one per CPU. They are
spawned, not forked, so they share no state with this process.
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.entry_points import djangos_own_asgi
from bridge.migrate.findings import Finding, Problem, Severity, Target
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule, all_rules
from bridge.migrate.text import CannotRead
from bridge.migrate.versions import too_old

__all__ = ["Progress", "Report", "check", "check_modules"]

Progress = Callable[[int, int], None]
"""Called with the number of files done, and their total."""
Found = tuple[list[Finding], list[Problem]]

PARALLEL_FROM = 150
"""From this number of files on, parsing takes longer than starting processes."""
_CHUNK = 16
_MAX_JOBS = 8


@dataclass(frozen=True)
class Report:
    """The result of one check.

    :ivar findings: those reported on the project's target and not suppressed, sorted by place.
    :ivar details: those of them that change nothing for this project, if they are kept apart.
    :ivar suppressed: the number of findings suppressed by comments.
    :ivar problems: the files that could not be read or parsed.
    """

    findings: tuple[Finding, ...]
    suppressed: int
    problems: tuple[Problem, ...]
    details: tuple[Finding, ...] = ()


def check(
    project: Project,
    rules: Sequence[Rule],
    progress: Progress | None = None,
    *,
    jobs: int | None = None,
    verbose: bool = False,
) -> Report:
    """Run the rules.

    :param progress: called after each file.
    :param verbose: whether findings that change nothing are among the others; see
        :meth:`Rule.is_detail`.
    :param jobs: processes to use for many files; by default one per CPU, at most 8.
    """
    progress = progress or (lambda done, total: None)
    found, problems = _over_modules(project, rules, progress, jobs or _cpus())
    for rule in rules:
        try:
            found.extend(rule.check_project(project))
        except Exception as error:
            problems.append(_failed(rule, project.root, error))
    report = _report(project, found, [*problems, *_unreadable(project)])
    return report if verbose else _without_details(report, rules, project)


def _without_details(report: Report, rules: Sequence[Rule], project: Project) -> Report:
    by_code = {rule.code: rule for rule in rules}
    is_before = any(each.code == _MOVE for each in report.findings)
    details = [
        each
        for each in report.findings
        if by_code[each.code].is_detail(each, project)
        or (is_before and _is_resolved_by_move(by_code[each.code], each, project))
    ]
    findings = tuple(each for each in report.findings if each not in details)
    return replace(report, findings=findings, details=tuple(details))


_MOVE = "E107"
"""The rule whose fix makes `bridge` serve the project."""


def _is_resolved_by_move(rule: Rule, finding: Finding, project: Project) -> bool:
    """Whether a finding is gone after that fix, and is no more than a warning before it."""
    severity = finding.severity(project.target)
    is_minor = severity is not None and severity <= Severity.WARNING
    return is_minor and rule.bridge is None and rule.code != _MOVE


def _unreadable(project: Project) -> Iterator[Problem]:
    """The files that a rule needed besides the one it checks, such as settings."""
    for module in project.modules:
        if module.failure is not None:
            yield Problem(module.path, module.failure.line, str(module.failure))


def _cpus() -> int:
    return min(_MAX_JOBS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


# -- modules ---------------------------------------------------------------------------------------


def _over_modules(project: Project, rules: Sequence[Rule], progress: Progress, jobs: int) -> Found:
    triggered, problems = _triggered(project, rules)
    total = len(project.modules)
    done = total - len(triggered)  # those need no parsing
    progress(done, total)
    if jobs > 1 and len(triggered) >= PARALLEL_FROM:
        try:
            found, failures = _in_processes(
                project, rules, triggered, jobs, lambda n: progress(n, total)
            )
            return found, problems + failures
        except (BrokenProcessPool, OSError):
            pass  # no process can be started here, or one was killed: continue without them
    found = []
    for module in triggered:
        new, failures = check_modules(project, rules, [module])
        found += new
        problems += failures
        done += 1
        progress(done, total)
    return found, problems


def _triggered(project: Project, rules: Sequence[Rule]) -> tuple[list[Module], list[Problem]]:
    """The modules that contain a rule's trigger, and those that cannot be read."""
    triggers = {trigger for rule in rules for trigger in rule.triggers}
    triggered: list[Module] = []
    problems: list[Problem] = []
    for module in project.modules:
        try:
            if any(trigger in module.text for trigger in triggers):
                triggered.append(module)
        except CannotRead as error:
            problems.append(Problem(module.path, error.line, str(error)))
    return triggered, problems


def check_modules(project: Project, rules: Sequence[Rule], modules: Iterable[Module]) -> Found:
    """Run the module checks of all rules."""
    found: list[Finding] = []
    problems: list[Problem] = []
    for module in modules:
        try:
            for rule in _rules_for(rules, module):
                new, failures = _apply(rule, module, project)
                found += new
                problems += failures
        except CannotRead as error:
            problems.append(Problem(module.path, error.line, str(error)))
        module.forget()
    return found, problems


def _rules_for(rules: Sequence[Rule], module: Module) -> list[Rule]:
    """The rules with a trigger in a module.

    :raises CannotRead: there are some, and the module cannot be parsed.
    """
    text = module.text
    triggered = [rule for rule in rules if any(trigger in text for trigger in rule.triggers)]
    if triggered:
        _ = module.tree  # reports a syntax error, whatever the rules access
    return triggered


def _apply(rule: Rule, module: Module, project: Project) -> Found:
    try:
        return list(rule.check_module(module, project)), []
    except CannotRead:
        raise
    except Exception as error:
        return [], [_failed(rule, module.path, error)]


def _failed(rule: Rule, path: Path, error: Exception) -> Problem:
    """A failing rule does not stop the others, but the result is not clean."""
    reason = f"{type(error).__name__}: {error}"
    return Problem(path, 0, f"could not be checked by {rule.code}, a bug in bridge: {reason}")


# -- processes -------------------------------------------------------------------------------------

_worker_state: tuple[Project, tuple[Rule, ...]] | None = None
"""The project and rules of a worker process."""


def _in_processes(
    project: Project,
    rules: Sequence[Rule],
    modules: Sequence[Module],
    jobs: int,
    progress: Callable[[int], None],
) -> Found:
    found: list[Finding] = []
    problems: list[Problem] = []
    done = len(project.modules) - len(modules)
    codes = frozenset(rule.code for rule in rules)
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _start_worker, (project, codes)
    ) as pool:
        sizes: dict[Future[Found], int] = {}
        for start in range(0, len(modules), _CHUNK):
            paths = [module.path for module in modules[start : start + _CHUNK]]
            sizes[pool.submit(_check_paths, paths)] = len(paths)
        for future in as_completed(sizes):
            new, failures = future.result()
            found += new
            problems += failures
            done += sizes[future]
            progress(done)
    return found, problems


def _start_worker(project: Project, codes: frozenset[str]) -> None:
    global _worker_state
    _worker_state = project, tuple(rule for rule in all_rules() if rule.code in codes)


def _check_paths(paths: Sequence[Path]) -> Found:
    if _worker_state is None:
        raise RuntimeError("the worker process was not initialized by _start_worker()")
    project, rules = _worker_state
    modules = (project.module_at(path) for path in paths)
    return check_modules(project, rules, (module for module in modules if module is not None))


# -- the report ------------------------------------------------------------------------------------


def _report(project: Project, found: Iterable[Finding], problems: Sequence[Problem]) -> Report:
    if project.target is Target.BRIDGE and any(True for _ in djangos_own_asgi(project)):
        found = map(_before_the_move, found)
    relevant = {each for each in found if each.severity(project.target) is not None}
    lines: dict[Path, list[str]] = {}
    kept = [
        each for each in relevant if not _is_suppressed(each, _line_reader(project, each, lines))
    ]
    is_old = any(True for _ in too_old(project))
    kept = [_confined(project, _importable(each) if is_old else each) for each in kept]
    findings = sorted(kept, key=lambda f: (str(f.path), f.line, f.column, f.code, f.message))
    failures = sorted(set(problems), key=lambda each: (str(each.path), each.line, each.message))
    return Report(tuple(findings), len(relevant) - len(kept), tuple(failures))


def _importable(finding: Finding) -> Finding:
    """Drop a fix that writes an import, command or requirement of `bridge` (E109)."""
    edits = finding.fix.edits if finding.fix is not None else ()
    needs_bridge = any(_BRIDGE.search(edit.text) for edit in edits)
    return replace(finding, fix=None) if needs_bridge else finding


def _confined(project: Project, finding: Finding) -> Finding:
    """Drop a fix that would write through a symlink to a file outside the project's folder."""
    if finding.fix is None:
        return finding
    root = project.root.resolve()
    real = {edit.path.resolve() for edit in finding.fix.edits}
    is_inside = all(path.is_relative_to(root) for path in real)
    return finding if is_inside else replace(finding, fix=None)


def _before_the_move(finding: Finding) -> Finding:
    """At least the native severity, while Django's own handler still serves the requests.

    A finding that does not exist through `bridge` loses its fix: the move resolves it.
    """
    if finding.native is None:
        return finding
    if finding.bridge is None:
        return replace(finding, bridge=finding.native, fix=None)
    return replace(finding, bridge=max(finding.native, finding.bridge))


_BRIDGE = re.compile(r"\bbridge\b")
_SUPPRESSION = re.compile(r"#\s*bridge:\s*ignore\[([A-Z]\d+(?:\s*,\s*[A-Z]\d+)*)\]")


def _is_suppressed(finding: Finding, line: Callable[[int], str]) -> bool:
    """Whether a comment ``# bridge: ignore[M202] reason`` suppresses a finding.

    The comment is at the end of the line, or alone on the line above: some formats, such as a
    Dockerfile, allow no comment at the end of a line.

    :param line: returns the text of a line of the finding's file, by number from 1.
    """
    if finding.line < 1:
        return False
    above = line(finding.line - 1).strip()
    texts = [line(finding.line), above if above.startswith("#") else ""]
    return any(finding.code in _suppressed_codes(text) for text in texts)


def _suppressed_codes(text: str) -> set[str]:
    found = _SUPPRESSION.search(text)
    return {code.strip() for code in found.group(1).split(",")} if found else set()


def _line_reader(
    project: Project, finding: Finding, lines: dict[Path, list[str]]
) -> Callable[[int], str]:
    if finding.path not in lines:
        lines[finding.path] = project.lines(finding.path)
    texts = lines[finding.path]
    return lambda number: texts[number - 1] if 1 <= number <= len(texts) else ""
