"""The rules of ``bridge migrate`` as Django system checks, and as ``manage.py bridge_check``.

::

    INSTALLED_APPS = [..., "bridge.contrib.django_checks"]

    manage.py check --tag asgi
    manage.py bridge_check --target native

What enters: the project that runs. What leaves: check messages with ids such as ``bridge.M202``.
Needs the extra ``[migrate]``. The project is asked in this very process; of
``[tool.bridge.migrate]`` all holds but ``settings``, ``python`` and ``introspect``.
"""
