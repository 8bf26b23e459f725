"""``bridge migrate``: find what would break under ASGI in a project, and fix it.

Input: the folder of a Django or Flask project. Output: findings, a plan, edits. Needs the extra
``[migrate]``: libcst. The modules, from the bottom up::

    findings    Finding, Fix, Edit, Severity, Source, Target: plain values
    text        decodes a file                    literals    evaluates expressions
    imports     the names that imports bind       module      one Python file: nodes, names, edits
    deploy/     reads deploy files, one reader for each kind; tables/ has the options of servers
    facts       the result of introspection       settings    Django settings, written and resolved
    project     all of these, read on first use   introspect  runs a script inside the project
    rule        the base class, and all rules     rules/      one module per rule
    runner      runs the rules over all files     fixer       applies fixes until none is left
    inventory   the old deployment, by group      destination what becomes of an option
    translation options of the new server         serving     its command line
    replacement the command that replaces one     capacity    processes and threads
    advice      whether to move, and where        writing     writes files, all or none
    repository  what git could not restore        display     names and texts, within their line
    session     one run, from options to report   plan        what to move to
    outputs/    text, JSON, SARIF and Markdown    explain     the documentation of a rule

``classes``, ``functions``, ``middleware``, ``database``, ``streaming``, ``querysets``,
``entry_points``, ``web_app``, ``wsgi_servers``, ``serving``, ``requirements``, ``rewrap``,
``versions``, ``hops``, ``key_reads`` and ``capacity`` are shared by several rules.

How to write a rule
===================

A rule is one module, ``rules/m203_init_without_super.py``, and is discovered automatically. Its
docstring is what ``bridge migrate explain M203`` prints: the symptom, the cause and the remedy,
then ``Before::`` and ``After::`` with code (the result of the fix, or of the manual change). It
contains one subclass of :class:`bridge.migrate.rule.Rule`::

    class InitWithoutSuper(Rule):
        code = "M203"
        name = "middleware-init-without-super"
        summary = "a MiddlewareMixin whose __init__ does not call super().__init__()"
        native = Severity.ERROR          # under Django's own ASGI handler; None: not reported
        bridge = Severity.ERROR          # through bridge
        fix = "safe"                     # or "unsafe", or empty
        triggers = ("__init__",)         # only modules with one of these texts are parsed

        def check_module(self, module, project): ...   # one file
        def check_project(self, project): ...          # settings, deploy files, facts

Both methods yield findings, created by ``self.at(module, node, message, help, fix=...)`` or, in
other files, ``self.at_place(project, option, message, help, ...)`` and ``self.at_line(path, line,
message, help, ...)``. ``severity=(native, bridge)`` overrides the defaults. The message states the
symptom, then the cause with the name in the user's code; the help says what to do, in the
imperative.

- ``module.nodes(cst.Call)`` returns all nodes of that type; ``module.parent``, ``enclosing`` and
  ``inside`` navigate the tree. ``module.qualified(node)`` resolves names through the imports.
  Positions are computed only when a finding is created.
- ``project.settings.get("MIDDLEWARE")`` is a `Setting`: value, source (R or S), place, and
  ``literal`` if one expression gives the whole value. ``project.facts`` is the result of
  introspection, or None: a rule must work without it. None does not mean that there is nothing.
- ``project.deploy.commands`` are the `StartCommand` records, ``configs`` the configurations of
  gunicorn and uwsgi, ``nginx`` the nginx directives.
- ``project.find("shop.middleware.Timing")`` and ``classes.lineage`` find classes across modules.
- ``project.target`` is where the project moves to; a fix may depend on it.
- A fix is ``Fix("Call super().__init__()", edits, safe=True)`` with ``module.replace(node, text)``,
  ``insert_before``, ``add_import(...)``, ``command.replace(argv)`` or a ``NewFile``. Edits are
  text: the rest of the file does not change. Overlapping fixes wait for the next pass. The rule
  must not find fixed code again: every test checks that a second fix changes nothing.
- Safe means: the project behaves as before wherever it worked correctly, under WSGI, too.

``check_module`` may run in another process: keep no state. Each rule has one test file,
``tests/migrate/test_m203_init_without_super.py``, with ``check_noop``, ``check_transformed`` and
``findings`` of ``tests/migrate/helpers.py``.
"""
