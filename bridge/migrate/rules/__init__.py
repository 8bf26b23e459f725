"""The rules, one module each. :func:`bridge.migrate.rule.all_rules` finds them.

A module is named after its rule, as in ``m203_init_without_super.py``. Its docstring is the text of
``bridge migrate explain``: the symptom, the cause and the remedy, then code ``Before::`` and
``After::``.
"""
