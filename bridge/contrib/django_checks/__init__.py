"""The rules of ``bridge migrate`` as Django system checks, and ``manage.py bridge_check``.

::

    INSTALLED_APPS = [..., "bridge.contrib.django_checks"]

    manage.py check --tag asgi
    manage.py bridge_check --target native

Input: the running project. Output: check messages with ids such as ``bridge.M202``. Needs the extra
``[migrate]``. The project is introspected in this process; of ``[tool.bridge.migrate]``, the keys
``settings``, ``python`` and ``introspect`` have no effect.
"""
