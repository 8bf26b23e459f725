"""The base class of rules, and the discovery of all rules in :mod:`bridge.migrate.rules`.

A rule has no state: it may run in any process.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from bridge.migrate.findings import Finding, Fix, Severity, Source

if TYPE_CHECKING:
    import libcst as cst

    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

__all__ = ["Placed", "Rule", "all_rules", "select_rules"]


class Placed(Protocol):
    """A line of a deploy file: that of a start command, or of one option."""

    @property
    def path(self) -> Path: ...

    @property
    def line(self) -> int: ...


class Rule:
    """Base class of rules. A subclass sets the class variables and overrides one or both checks.

    :cvar code: letter and number, as ``M202``.
    :cvar name: words with hyphens, as ``middleware-overrides-call``.
    :cvar summary: what the rule finds, in one line, for tables.
    :cvar native: the default severity under the framework's own ASGI handler; None: not reported.
    :cvar bridge: the default severity through `bridge`.
    :cvar sources: where its findings come from.
    :cvar fix: ``"safe"``, ``"unsafe"``, or empty if it offers no fix.
    :cvar triggers: :meth:`check_module` is called for modules whose text contains one of these;
        for no module if empty.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    native: ClassVar[Severity | None]
    bridge: ClassVar[Severity | None]
    sources: ClassVar[tuple[Source, ...]] = (Source.SOURCES,)
    fix: ClassVar[str] = ""
    triggers: ClassVar[tuple[str, ...]] = ()

    def check_module(self, module: Module, project: Project) -> Iterable[Finding]:
        """Check one module. May run in a worker process."""
        return ()

    def check_project(self, project: Project) -> Iterable[Finding]:
        """Check the project as a whole: settings, deploy files, introspected facts."""
        return ()

    def is_detail(self, finding: Finding, project: Project) -> bool:
        """Whether a finding changes nothing that anybody would do in this project.

        Such findings are counted, and shown with ``--verbose`` only. Called in the main process.
        """
        return False

    # -- making findings ---------------------------------------------------------------------------

    def at(
        self,
        module: Module,
        node: cst.CSTNode,
        message: str,
        help: str,
        *,
        fix: Fix | None = None,
        source: Source = Source.SOURCES,
        severity: tuple[Severity | None, Severity | None] | None = None,
    ) -> Finding:
        """A finding at a node.

        :param severity: native and bridge, if they differ from the rule's defaults.
        """
        line, column = module.position(node)
        native, bridge = severity or (self.native, self.bridge)
        return Finding(
            self.code,
            module.path,
            line,
            column,
            message,
            help,
            source,
            native,
            bridge,
            module.line(line).strip(),
            fix,
        )

    def at_line(
        self,
        path: Path,
        line: int,
        message: str,
        help: str,
        *,
        line_text: str = "",
        column: int = 1,
        fix: Fix | None = None,
        source: Source = Source.DEPLOY,
        severity: tuple[Severity | None, Severity | None] | None = None,
    ) -> Finding:
        """A finding at a line of any file; at line 0, for the file or folder as a whole."""
        native, bridge = severity or (self.native, self.bridge)
        column = column if line else 0
        return Finding(
            self.code,
            path,
            line,
            column,
            message,
            help,
            source,
            native,
            bridge,
            line_text.strip(),
            fix,
        )

    def at_place(
        self,
        project: Project,
        place: Placed,
        message: str,
        help: str,
        *,
        fix: Fix | None = None,
        severity: tuple[Severity | None, Severity | None] | None = None,
    ) -> Finding:
        """A finding at the line of a start command or of an option."""
        lines = project.lines(place.path)
        line_text = lines[place.line - 1] if 1 <= place.line <= len(lines) else ""
        return self.at_line(
            place.path, place.line, message, help, line_text=line_text, fix=fix, severity=severity
        )


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """All rules, sorted by code."""
    rules = sorted(_discovered(), key=lambda rule: rule.code)
    codes = [rule.code for rule in rules]
    duplicates = {code for code in codes if codes.count(code) > 1}
    if duplicates:
        raise RuntimeError(f"two rules have the same code: {', '.join(sorted(duplicates))}")
    return tuple(rules)


def _discovered() -> Iterator[Rule]:
    package = importlib.import_module("bridge.migrate.rules")
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Rule) and value.__module__ == info.name and "code" in vars(value):
                yield value()


def select_rules(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules whose codes start with one of ``select`` (all if empty) and none of ``ignore``."""
    selected, ignored = tuple(select), tuple(ignore)
    return tuple(
        rule
        for rule in all_rules()
        if (not selected or rule.code.startswith(selected))
        and not (ignored and rule.code.startswith(ignored))
    )
