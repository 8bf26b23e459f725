"""The documentation of a rule, from its docstring.

Input: the code of a rule. Output: text, with code before and after.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from bridge.errors import MigrationError
from bridge.migrate.findings import Severity, severity_letters
from bridge.migrate.rule import Rule, all_rules

__all__ = ["explain", "list_rules", "rule_of"]


def rule_of(code: str) -> Rule:
    """The rule with this code or name, in upper or lower case.

    :raises MigrationError: there is no such rule.
    """
    for rule in all_rules():
        if code.upper() in (rule.code, rule.name.upper()):
            return rule
    similar = [rule.code for rule in all_rules() if rule.code[:1] == code[:1].upper()]
    if not similar:
        codes = ", ".join(rule.code for rule in all_rules())
        raise MigrationError(f"no rule {code!r}; the rules are {codes}")
    raise MigrationError(f"no rule {code!r}; those with {code[0].upper()} are {', '.join(similar)}")


def explain(code: str) -> str:
    """The documentation of one rule."""
    rule = rule_of(code)
    text = inspect.cleandoc(sys.modules[type(rule).__module__].__doc__ or "")
    heading = f"{rule.code} {rule.name}"
    fix = f"{rule.fix} fix: bridge migrate fix" if rule.fix else "no fix: by hand"
    if rule.fix == "unsafe":
        fix += " --unsafe-fixes"
    facts = [
        f"native {_severity(rule.native)}, through bridge {_severity(rule.bridge)}",
        f"found in {' and '.join(_SOURCES[each.value] for each in rule.sources)}",
        fix,
    ]
    return "\n".join([heading, "=" * len(heading), "; ".join(facts), "", *_plain(text)]) + "\n"


_SOURCES = {"S": "the sources", "R": "the running project", "D": "deploy files"}


def _severity(severity: Severity | None) -> str:
    return "not reported" if severity is None else severity.name.lower()


def _plain(text: str) -> Iterator[str]:
    """reStructuredText as plain text: literals in quotes, one colon before a block."""
    for line in text.splitlines():
        is_code = line.startswith("    ")
        plain = line if is_code else line.replace("``", "`")
        yield plain[:-1] if plain.endswith("::") and not is_code else plain


def list_rules() -> str:
    """One line for each rule: severity native and through bridge, fix, and what it finds."""
    rows = [
        f"{rule.code}  {severity_letters(rule.native, rule.bridge)}  {rule.fix or '-':6}  "
        f"{rule.summary}"
        for rule in all_rules()
    ]
    return "\n".join(["rule  n/b  fix     finds", *rows]) + "\n"
