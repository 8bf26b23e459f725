"""``bridge migrate``: what stands between a project and ASGI, and what can be put right at once.

What enters: the folder of a Django or Flask project. What leaves: findings, a plan, edits. Needs
the extra ``[migrate]``: libcst. In the order of the layers, each importing only those before it::

    findings    Finding, Fix, Edit, Severity, Source, Target: plain values
    literals    what an expression is worth      imports    what a name stands for
    module      one Python file: nodes, positions, names, edits
    deploy/     start commands and configuration: Procfile, Dockerfile, compose, systemd, ...
    facts       what the running project told    introspect    asks it, in its own interpreter
    settings    as written, and as told          project    all of it, read when asked for
    rule        what a rule is, and where they are found      classes    bases and methods
    rules/      one module each
    runner      every rule over every file       fixer, writing    edits until none is left
    plan        what to move to                  outputs   text, json, sarif, markdown

How to write a rule
===================

A rule is one module, ``rules/m203_init_without_super.py``; it is found by being there. Its
docstring is what ``bridge migrate explain M203`` prints: what is found and why it matters,
then ``Before::`` and ``After::`` with code (of the fix, or of what to do by hand). In it is one
subclass of :class:`bridge.migrate.rule.Rule`::

    class InitWithoutSuper(Rule):
        code = "M203"
        name = "middleware-init-without-super"
        summary = "a MiddlewareMixin whose __init__ does not call super().__init__()"
        native = Severity.ERROR          # under Django's own ASGI handler; None: not at all
        bridge = Severity.ERROR          # through bridge
        fix = "safe"                     # or "unsafe", or nothing
        triggers = ("__init__",)         # only modules with one of these texts are parsed

        def check_module(self, module, project): ...   # one file by itself
        def check_project(self, project): ...          # settings, deploy files, facts

Either method yields findings, made by ``self.at(module, node, message, help, fix=...)`` or, in
other files, ``self.at_line(path, line, message, help, ...)``. ``severity=(native, bridge)``
overrides the usual one. The message says what is there and why it matters; the help
what to do, as a command.

- ``module.nodes(cst.Call)`` are all nodes of that type; ``module.parent``, ``enclosing`` and
  ``inside`` go up and down. ``module.qualified(node)`` resolves names through the imports.
  Positions are made when a finding is.
- ``project.settings.get("MIDDLEWARE")`` is a `Setting`: value, source (R or S), where it is
  written, and ``literal`` where one expression is all of it. ``project.facts`` is what the
  running project told, or None: a rule must make do without. None does not
  mean that there is nothing.
- ``project.deploy.commands`` are the `StartCommand` records, ``configs`` those of gunicorn and
  uwsgi, ``nginx`` the directives.
- ``project.find("shop.middleware.Timing")`` and ``classes.lineage`` find classes across modules.
- ``project.target`` is where the project is to move; a fix may depend on it.
- A fix is ``Fix("Call super().__init__()", edits, safe=True)`` with ``module.replace(node, text)``,
  ``insert_before``, ``add_import(...)``, ``command.replace(argv)`` or a ``NewFile``. Edits are
  text: nothing else in the file moves. Overlapping fixes wait for the next pass. Fixed code
  must not be found again: every test checks that a second fix changes nothing.
- Safe means: the project behaves as before wherever it ran correctly, under WSGI as well.

``check_module`` may run in another process: keep no state. Tests are one file per rule,
``tests/migrate/test_m203_init_without_super.py``, with ``check_noop``, ``check_transformed`` and
``findings`` of ``tests/migrate/helpers.py``.
"""
