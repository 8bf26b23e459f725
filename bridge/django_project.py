"""A folder with ``manage.py``, and the WSGI app of the Django project in it.

What enters: a path. What leaves: the app of the project's own ``wsgi.py`` where it has one, and
Django's handler where it has none. Runs the project's settings and ``django.setup()``: on the main
thread, before any event loop.

``manage.py`` is read, not run: its settings module is the default it gives to the environment
variable ``DJANGO_SETTINGS_MODULE``, which goes first, as it does for Django.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.importing import cannot_load, failed, import_module

__all__ = ["Project", "load_project", "project_folder"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"


@dataclass(frozen=True)
class Project:
    """A Django project that is set up.

    :ivar app: its WSGI app.
    :ivar source: the project and its settings module, in words.
    :ivar notes: what was decided for the user, and they should see.
    """

    app: Any
    source: str
    notes: tuple[str, ...]


def project_folder(target: str) -> Path | None:
    """The folder of the Django project that ``target`` means, or None if it means no such thing.

    :param target: a folder with ``manage.py`` in it, or the path of that ``manage.py``.
    """
    path = Path(target).expanduser()
    folder = path.parent if path.name == "manage.py" else path
    return folder.absolute() if target and (folder / "manage.py").is_file() else None


def load_project(folder: Path, target: str) -> Project:
    """Set up the project in ``folder`` and load its WSGI app.

    While ``DEBUG`` is on, static files are served as ``manage.py runserver`` serves them, unless
    WhiteNoise does that already.

    :param folder: where ``manage.py`` is; goes first on ``sys.path``.
    :param target: what the user typed, for messages.
    :raises AppLoadError: Django is not installed, there is no settings module to be found, or the
        project's code failed; see :func:`bridge.importing.import_module`.
    """
    if importlib.util.find_spec("django") is None:
        raise cannot_load(
            target,
            "it is a Django project, and Django is not installed: "
            'pip install "wsgi-asgi-bridge[django]"',
        )
    settings_name = os.environ.get(_VARIABLE) or _default_settings(folder / "manage.py", target)
    os.environ[_VARIABLE] = settings_name
    import_module(target, settings_name, folder)
    settings = _settings(target)
    app, notes = _with_static_files(_wsgi_app(target, folder, settings), settings)
    asgi = getattr(settings, "ASGI_APPLICATION", None)  # of Channels and Daphne, not of Django
    if asgi:
        other = ":".join(asgi.rsplit(".", 1))
        notes += (f"its ASGI app, for WebSockets, is another target: bridge run {other}",)
    return Project(app, f"Django project {folder.name} ({settings_name})", notes)


def _settings(target: str) -> Any:
    from django.conf import settings

    try:
        _ = settings.INSTALLED_APPS  # the first look makes Django read and check them all
    except Exception as error:
        raise failed(target, "reading the settings", error) from error
    return settings


def _wsgi_app(target: str, folder: Path, settings: Any) -> Any:
    if not settings.WSGI_APPLICATION:
        return _djangos_own(target)
    module_name, _, attribute = settings.WSGI_APPLICATION.rpartition(".")
    module = import_module(target, module_name, folder)
    if not hasattr(module, attribute):
        raise cannot_load(
            target,
            f"WSGI_APPLICATION is {settings.WSGI_APPLICATION!r}, and the module {module_name!r} "
            f"({module.__file__}) has no {attribute!r}",
        )
    return getattr(module, attribute)


def _djangos_own(target: str) -> Any:
    from django.core.wsgi import get_wsgi_application

    try:
        return get_wsgi_application()
    except Exception as error:
        raise failed(target, "setting up Django", error) from error


def _with_static_files(app: Any, settings: Any) -> tuple[Any, tuple[str, ...]]:
    from bridge.contrib.django import static

    if not static.wanted():
        return app, ()
    note = f"DEBUG is on: static files are served from {settings.STATIC_URL}"
    return static.DevelopmentFiles(app), (note,)


def _default_settings(manage: Path, target: str) -> str:
    found = _read_default(manage)
    if found is None:
        raise cannot_load(
            target,
            f"{manage} gives no default for {_VARIABLE}. Set it, as in "
            f"{_VARIABLE}=mysite.settings bridge run {target}",
        )
    return found


def _read_default(manage: Path) -> str | None:
    """What ``manage.py`` passes to ``os.environ.setdefault``, or assigns to ``os.environ[...]``."""
    try:
        tree = ast.parse(manage.read_bytes())
    except SyntaxError:
        return None
    found = (_default_in(node) for node in ast.walk(tree))
    return next((value for key, value in filter(None, found) if key == _VARIABLE), None)


def _default_in(node: ast.AST) -> tuple[object, str] | None:
    match node:
        case ast.Call(args=[ast.Constant(value=key), ast.Constant(value=str(default))]):
            return key, default
        case ast.Assign(
            targets=[ast.Subscript(slice=ast.Constant(value=key))],
            value=ast.Constant(value=str(default)),
        ):
            return key, default
    return None
