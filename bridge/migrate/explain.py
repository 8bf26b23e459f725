"""What a rule is about, from its own docstring.

What enters: a code. What leaves: text, with code before and after.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from bridge.errors import MigrationError
from bridge.migrate.findings import Severity
from bridge.migrate.rule import Rule, all_rules

__all__ = ["explain", "list_rules", "rule_of"]


def rule_of(code: str) -> Rule:
    """The rule of that code, in any case.

    :raises MigrationError: there is none.
    """
    for rule in all_rules():
        if code.upper() in (rule.code, rule.name.upper()):
            return rule
    near = [rule.code for rule in all_rules() if rule.code[:1] == code[:1].upper()]
    known = ", ".join(near or [rule.code for rule in all_rules()])
    raise MigrationError(f"there is no rule {code!r}; there are {known}")


def explain(code: str) -> str:
    """All there is to say about one rule."""
    rule = rule_of(code)
    text = inspect.cleandoc(sys.modules[type(rule).__module__].__doc__ or "")
    heading = f"{rule.code} {rule.name}"
    fix = f"{rule.fix} fix: bridge migrate fix" if rule.fix else "no fix: by hand"
    if rule.fix == "unsafe":
        fix += " --unsafe-fixes"
    facts = [
        f"native {_word(rule.native)}, through bridge {_word(rule.bridge)}",
        f"found in {' and '.join(_SOURCES[each.value] for each in rule.sources)}",
        fix,
    ]
    return "\n".join([heading, "=" * len(heading), "; ".join(facts), "", *_plain(text)]) + "\n"


_SOURCES = {"S": "the sources", "R": "the running project", "D": "deploy files"}


def _word(severity: Severity | None) -> str:
    return "no matter" if severity is None else severity.name.lower()


def _plain(text: str) -> Iterator[str]:
    """reStructuredText as plain text: literals in quotes, one colon before a block."""
    for line in text.splitlines():
        is_code = line.startswith("    ")
        plain = line if is_code else line.replace("``", "`")
        yield plain[:-1] if plain.endswith("::") and not is_code else plain


def list_rules() -> str:
    """One line for each rule: severity native and bridge, fix, and what it finds."""
    rows = [
        f"{rule.code}  {_letters(rule)}  {rule.fix or '-':6}  {rule.summary}"
        for rule in all_rules()
    ]
    return "\n".join(["rule  n/b  fix     finds", *rows]) + "\n"


def _letters(rule: Rule) -> str:
    both = (rule.native, rule.bridge)
    return "/".join("-" if severity is None else severity.letter for severity in both)
