"""Every rule over every file of a project.

What enters: a :class:`~bridge.migrate.project.Project` and rules. What leaves: a :class:`Report`.
Rules run on the calling thread and, where there is much to parse, in worker processes as well: one
for each CPU, started anew, so that nothing of this process is copied into them.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.migrate.entry_points import djangos_own_asgi
from bridge.migrate.findings import Finding, Problem, Target
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.rule import Rule, all_rules
from bridge.migrate.suppress import is_ignored
from bridge.migrate.text import CannotRead

__all__ = ["Progress", "Report", "check", "check_modules"]

Progress = Callable[[int, int], None]
"""Called with how many files are done, and of how many."""
Found = tuple[list[Finding], list[Problem]]

PARALLEL_FROM = 150
"""So many files to parse take longer than it takes to start processes."""
_CHUNK = 16
_MOST_JOBS = 8


@dataclass(frozen=True)
class Report:
    """What came of one check.

    :ivar findings: those that are not suppressed and matter on the project's target, by place.
    :ivar suppressed: how many a comment suppressed.
    :ivar problems: the files that could not be read or parsed.
    """

    findings: tuple[Finding, ...]
    suppressed: int
    problems: tuple[Problem, ...]


def check(
    project: Project,
    rules: Sequence[Rule],
    progress: Progress | None = None,
    *,
    jobs: int | None = None,
) -> Report:
    """Run the rules.

    :param progress: told after each file.
    :param jobs: processes to use for many files; one for each CPU, up to 8, if not given.
    """
    progress = progress or (lambda done, total: None)
    found, problems = _over_modules(project, rules, progress, jobs or _cpus())
    for rule in rules:
        try:
            found.extend(rule.check_project(project))
        except Exception as error:
            problems.append(_failed(rule, project.root, error))
    return _report(project, found, [*problems, *_not_read(project)])


def _not_read(project: Project) -> Iterator[Problem]:
    """What rules wanted to know from other files than their own, the settings say, and did not."""
    for module in project.modules:
        if module.failure is not None:
            yield Problem(module.path, module.failure.line, str(module.failure))


def _cpus() -> int:
    return min(_MOST_JOBS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


# -- modules ---------------------------------------------------------------------------------------


def _over_modules(project: Project, rules: Sequence[Rule], progress: Progress, jobs: int) -> Found:
    wanted, problems = _wanted(project, rules)
    total = len(project.modules)
    done = total - len(wanted)  # those need no parsing
    progress(done, total)
    if jobs > 1 and len(wanted) >= PARALLEL_FROM:
        try:
            found, others = _in_processes(
                project, rules, wanted, jobs, lambda n: progress(n, total)
            )
            return found, problems + others
        except (BrokenProcessPool, OSError):
            pass  # no process can be started here, or one was killed: it also goes without
    found = []
    for module in wanted:
        some, others = check_modules(project, rules, [module])
        found += some
        problems += others
        done += 1
        progress(done, total)
    return found, problems


def _wanted(project: Project, rules: Sequence[Rule]) -> tuple[list[Module], list[Problem]]:
    """The modules that have a rule's trigger in them, and those that cannot be read."""
    triggers = {trigger for rule in rules for trigger in rule.triggers}
    wanted: list[Module] = []
    problems: list[Problem] = []
    for module in project.modules:
        try:
            if any(trigger in module.text for trigger in triggers):
                wanted.append(module)
        except CannotRead as error:
            problems.append(Problem(module.path, error.line, str(error)))
    return wanted, problems


def check_modules(project: Project, rules: Sequence[Rule], modules: Iterable[Module]) -> Found:
    """Run what rules have for single modules."""
    found: list[Finding] = []
    problems: list[Problem] = []
    for module in modules:
        try:
            for rule in _rules_for(rules, module):
                some, others = _apply(rule, module, project)
                found += some
                problems += others
        except CannotRead as error:
            problems.append(Problem(module.path, error.line, str(error)))
        module.forget()
    return found, problems


def _rules_for(rules: Sequence[Rule], module: Module) -> list[Rule]:
    """The rules that look at a module.

    :raises CannotRead: there are some, and it cannot be parsed.
    """
    text = module.text
    chosen = [rule for rule in rules if any(trigger in text for trigger in rule.triggers)]
    if chosen:
        _ = module.tree  # so that a syntax error is told whatever the rules look at
    return chosen


def _apply(rule: Rule, module: Module, project: Project) -> Found:
    try:
        return list(rule.check_module(module, project)), []
    except CannotRead:
        raise
    except Exception as error:
        return [], [_failed(rule, module.path, error)]


def _failed(rule: Rule, path: Path, error: Exception) -> Problem:
    """A rule that fails takes no other with it, and is no clean result either."""
    reason = f"{type(error).__name__}: {error}"
    return Problem(
        path, 0, f"could not be checked by {rule.code}, which is a bug of ours: {reason}"
    )


# -- processes -------------------------------------------------------------------------------------

_here: tuple[Project, tuple[Rule, ...]] | None = None
"""Of a worker process: what it works on."""


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
            sizes[pool.submit(_work, paths)] = len(paths)
        for future in as_completed(sizes):
            some, others = future.result()
            found += some
            problems += others
            done += sizes[future]
            progress(done)
    return found, problems


def _start_worker(project: Project, codes: frozenset[str]) -> None:
    global _here
    _here = project, tuple(rule for rule in all_rules() if rule.code in codes)


def _work(paths: Sequence[Path]) -> Found:
    if _here is None:
        raise RuntimeError("a worker process works on what it was started with")
    project, rules = _here
    modules = (project.module_at(path) for path in paths)
    return check_modules(project, rules, (module for module in modules if module is not None))


# -- what is told ----------------------------------------------------------------------------------


def _report(project: Project, found: Iterable[Finding], problems: Sequence[Problem]) -> Report:
    if project.target is Target.BRIDGE and any(True for _ in djangos_own_asgi(project)):
        found = map(_not_there_yet, found)
    relevant = {each for each in found if each.severity(project.target) is not None}
    lines: dict[Path, list[str]] = {}
    kept = [each for each in relevant if not is_ignored(each, _line_reader(project, each, lines))]
    kept = [_kept_inside(project, each) for each in kept]
    ordered = sorted(kept, key=lambda f: (str(f.path), f.line, f.column, f.code, f.message))
    told = sorted(set(problems), key=lambda each: (str(each.path), each.line, each.message))
    return Report(tuple(ordered), len(relevant) - len(kept), tuple(told))


def _kept_inside(project: Project, finding: Finding) -> Finding:
    """Without a fix that would write to what a symlink names outside of the project's folder."""
    if finding.fix is None:
        return finding
    root = project.root.resolve()
    real = {edit.path.resolve() for edit in finding.fix.edits}
    is_inside = all(path.is_relative_to(root) for path in real)
    return finding if is_inside else replace(finding, fix=None)


def _not_there_yet(finding: Finding) -> Finding:
    """As bad as natively, for requests are Django's own handler's; what moving cures has no fix."""
    if finding.native is None:
        return finding
    if finding.bridge is None:
        return replace(finding, bridge=finding.native, fix=None)
    return replace(finding, bridge=max(finding.native, finding.bridge))


def _line_reader(
    project: Project, finding: Finding, lines: dict[Path, list[str]]
) -> Callable[[int], str]:
    if finding.path not in lines:
        lines[finding.path] = project.lines(finding.path)
    texts = lines[finding.path]
    return lambda number: texts[number - 1] if 1 <= number <= len(texts) else ""
