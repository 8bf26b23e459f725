"""The rules, one module each, found by :func:`bridge.migrate.rule.all_rules`.

A module is named by its rule, ``m203_init_without_super.py``, and opens with a docstring that
``bridge migrate explain`` prints: what is found and why it matters, then code ``Before::`` and
``After::``.
"""
