"""All rules: required attributes, documentation, and the decided severities."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge.migrate.explain import explain
from bridge.migrate.rule import Rule, all_rules, select_rules

DECIDED = {
    "E101": "E/E safe",
    "E102": "E/E safe",
    "E103": "I/I",
    "E104": "E/I",
    "E105": "E/E safe",
    "E106": "E/W",
    "E107": "-/E safe",
    "M201": "I/I",
    "M202": "E/- unsafe",
    "M203": "E/E safe",
    "M204": "W/- unsafe",
    "M205": "W/-",
    "M206": "C/I",
    "M207": "I/I",
    "T601": "I/I safe",
}


@pytest.mark.parametrize("code", DECIDED)
def test_severities_and_fixes_are_as_decided(code: str) -> None:
    (rule,) = select_rules([code])
    both = [each.letter if each else "-" for each in (rule.native, rule.bridge)]

    assert f"{'/'.join(both)} {rule.fix}".strip() == DECIDED[code]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_a_rule_explains_itself_with_code_before_and_after(rule: Rule) -> None:
    module = sys.modules[type(rule).__module__]
    text = module.__doc__ or ""

    assert Path(module.__file__ or "").name.startswith(f"{rule.code.lower()}_")
    assert 0 < text.index("\nBefore::\n") < text.index("\nAfter::\n")
    assert rule.summary
    assert rule.sources
    assert rule.fix in ("", "safe", "unsafe")
    assert explain(rule.code).startswith(f"{rule.code} {rule.name}\n")


def test_a_rule_checks_modules_with_triggers_or_the_project() -> None:
    for rule in all_rules():
        checks_modules = type(rule).check_module is not Rule.check_module
        checks_project = type(rule).check_project is not Rule.check_project
        assert checks_modules is bool(rule.triggers), rule.code
        assert checks_modules or checks_project, rule.code
