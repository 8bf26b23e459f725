"""The system check.

Input: Django's loaded settings. Output: one Django check message for each finding, except those
suppressed by a comment or the baseline. Runs on: the main thread, where Django runs its checks.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.migrate.session import Session

__all__ = ["NO_LIBCST", "check_asgi", "check_this_project"]

NO_LIBCST = "bridge.contrib.django_checks needs libcst"
_HINT = 'pip install "wsgi-asgi-bridge[migrate]"'
_COMMANDS = frozenset({"check", "bridge_check"})


def check_asgi(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Run all rules over the project.

    Does nothing in other commands that run checks, such as ``runserver`` at each reload, so that
    they are not slowed down.
    """
    if not _is_requested():
        return []
    if importlib.util.find_spec("libcst") is None:
        return [Warning(NO_LIBCST, hint=_HINT, id="bridge.W001")]
    try:
        return _messages(check_this_project())
    except BridgeError as error:
        return [Warning(str(error), id="bridge.W002")]


def _is_requested() -> bool:
    is_command = Path(sys.argv[0]).name in ("manage.py", "django-admin", "__main__.py")
    return not is_command or sys.argv[1:2] == [] or sys.argv[1] in _COMMANDS


def check_this_project(**given: Any) -> Session:
    """Check the project whose settings are loaded.

    :param given: fields of :class:`bridge.migrate.configuration.Options`; None if not given.
    :raises MigrationError: an option is invalid.
    """
    from bridge.migrate.configuration import read_options
    from bridge.migrate.facts import Facts
    from bridge.migrate.introspect_script import collect_facts
    from bridge.migrate.session import run_check

    folder = _folder()
    options = read_options(folder, {**given, "settings": settings.SETTINGS_MODULE})
    # Worker processes would run manage.py again, so all rules run in this one.
    return run_check(folder, options, facts=Facts.from_json(collect_facts()), jobs=1)


def _folder() -> Path:
    """``BASE_DIR``, as startproject sets it; else the folder that contains the settings."""
    base = getattr(settings, "BASE_DIR", None)
    if base is not None:
        return Path(base)
    name = settings.SETTINGS_MODULE
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return Path.cwd()
    return Path(file).parents[name.count(".")]


def _messages(session: Session) -> list[CheckMessage]:
    project = session.project
    found: list[CheckMessage] = []
    for finding in session.report.findings:
        severity = finding.severity(project.target)
        if severity is not None:
            where = f"{project.shown(finding.path)}:{finding.line}"
            level = int(severity) * 10 + 10  # INFO 20, WARNING 30, ERROR 40, CRITICAL 50
            message = CheckMessage(
                level, finding.message, hint=finding.help, obj=where, id=f"bridge.{finding.code}"
            )
            found.append(message)
    return found
