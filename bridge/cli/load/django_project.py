"""Loads the app of the Django project in a folder with ``manage.py``.

The app is the one that ``ASGI_APPLICATION`` names if `bridge.contrib.django` made it; otherwise the
one that ``WSGI_APPLICATION`` names, or Django's handler without such a setting. Runs the project's
settings and ``django.setup()``: on the main thread, before any event loop.

``manage.py`` is read, not run: it contains the default of the environment variable
``DJANGO_SETTINGS_MODULE``, which takes precedence, as it does for Django.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.cli.load.errors import app_failed, cannot_load
from bridge.cli.load.module import import_module
from bridge.dual import Universal
from bridge.errors import AppLoadError

__all__ = ["Project", "load_project", "project_folder"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"


@dataclass(frozen=True)
class Project:
    """A Django project that is set up.

    :ivar app: its app.
    :ivar source: the project and its settings module, for messages.
    :ivar notes: decisions made while loading that the user should know of.
    """

    app: Any
    source: str
    notes: tuple[str, ...]


def project_folder(target: str) -> Path | None:
    """The folder of the Django project that ``target`` names, or None if it names none.

    :param target: a folder with ``manage.py`` in it, or the path of that ``manage.py``.
    """
    path = Path(target).expanduser()
    folder = path.parent if path.name == "manage.py" else path
    return folder.absolute() if target and (folder / "manage.py").is_file() else None


def load_project(folder: Path, target: str) -> Project:
    """Set up the project in ``folder`` and load its app.

    If ``DEBUG`` is on, static files are served as by ``manage.py runserver``, unless WhiteNoise
    serves them.

    :param folder: where ``manage.py`` is; put first on ``sys.path``.
    :param target: what the user typed, for messages.
    :raises AppLoadError: Django is not installed, there is no settings module, or the project's
        code failed; see :func:`bridge.cli.load.module.import_module`.
    """
    if importlib.util.find_spec("django") is None:
        raise cannot_load(
            target,
            "it is a Django project, but Django is not installed: "
            'pip install "wsgi-asgi-bridge[django]"',
        )
    settings_name = os.environ.get(_VARIABLE) or _default_settings(folder / "manage.py", target)
    os.environ[_VARIABLE] = settings_name
    import_module(target, settings_name, folder)
    settings = _settings(target)
    source = f"Django project {folder.name} ({settings_name})"
    wsgi = _wsgi_app(target, folder, settings)
    asgi, notes = _asgi_app(target, folder, settings)
    if isinstance(asgi, Universal):  # made by bridge.contrib.django: contains the WSGI app
        return Project(asgi, source, _static_notes())
    app = _with_static_files(wsgi)
    return Project(app, source, _static_notes() + notes)


def _settings(target: str) -> Any:
    from django.conf import settings

    try:
        _ = settings.INSTALLED_APPS  # the first access makes Django read and check all settings
    except Exception as error:
        raise app_failed(target, "reading the settings", error) from error
    return settings


def _wsgi_app(target: str, folder: Path, settings: Any) -> Any:
    if not settings.WSGI_APPLICATION:
        return _default_wsgi_app(target)
    module_name, _, attribute = settings.WSGI_APPLICATION.rpartition(".")
    module = import_module(target, module_name, folder)
    if not hasattr(module, attribute):
        raise cannot_load(
            target,
            f"WSGI_APPLICATION is {settings.WSGI_APPLICATION!r}, but the module {module_name!r} "
            f"({module.__file__}) has no attribute {attribute!r}",
        )
    return getattr(module, attribute)


def _asgi_app(target: str, folder: Path, settings: Any) -> tuple[Any, tuple[str, ...]]:
    """The app that ``ASGI_APPLICATION`` names (a setting of Channels and Daphne), and notes."""
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        return None, ()
    module_name, _, attribute = name.rpartition(".")
    try:
        app = getattr(import_module(target, module_name, folder), attribute, None)
    except AppLoadError as error:
        return None, (f"its ASGI app is not served: {error}",)
    return app, (
        f"WebSockets need its ASGI app, which is another target: "
        f"bridge run {module_name}:{attribute}",
    )


def _default_wsgi_app(target: str) -> Any:
    from django.core.wsgi import get_wsgi_application

    try:
        return get_wsgi_application()
    except Exception as error:
        raise app_failed(target, "setting up Django", error) from error


def _with_static_files(app: Any) -> Any:
    from bridge.contrib.django import static

    return static.DevelopmentFiles(app) if static.served_below() else app


def _static_notes() -> tuple[str, ...]:
    from bridge.contrib.django import static

    url = static.served_below()
    return (f"DEBUG is on: static files are served from {url}",) if url else ()


def _default_settings(manage: Path, target: str) -> str:
    default = _read_default(manage)
    if default is None:
        raise cannot_load(
            target,
            f"{manage} sets no default for {_VARIABLE}. Set it, as in "
            f"{_VARIABLE}=mysite.settings bridge run {target}",
        )
    return default


def _read_default(manage: Path) -> str | None:
    """The value that ``manage.py`` passes to ``os.environ.setdefault`` or assigns to it."""
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
