"""A folder with ``manage.py``, and the app of the Django project in it.

What enters: a path. What leaves: the app of the project's own ``asgi.py``, where
``ASGI_APPLICATION`` names one that was made by `bridge.contrib.django`; else that of its
``wsgi.py``, or Django's handler where it has none. Runs the project's settings and
``django.setup()``: on the main thread, before any event loop.

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

from bridge.cli.load.importing import cannot_load, failed, import_module
from bridge.dual import Universal
from bridge.errors import AppLoadError

__all__ = ["Project", "load_project", "project_folder"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"


@dataclass(frozen=True)
class Project:
    """A Django project that is set up.

    :ivar app: its app.
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
    """Set up the project in ``folder`` and load its app.

    While ``DEBUG`` is on, static files are served as ``manage.py runserver`` serves them, unless
    WhiteNoise does that already.

    :param folder: where ``manage.py`` is; goes first on ``sys.path``.
    :param target: what the user typed, for messages.
    :raises AppLoadError: Django is not installed, there is no settings module to be found, or the
        project's code failed; see :func:`bridge.cli.load.importing.import_module`.
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
    source = f"Django project {folder.name} ({settings_name})"
    wsgi = _wsgi_app(target, folder, settings)
    asgi, notes = _asgi_app(target, folder, settings)
    if isinstance(asgi, Universal):  # of bridge.contrib.django: it is the WSGI app, and more
        return Project(asgi, source, _static_notes())
    app = _with_static_files(wsgi)
    return Project(app, source, _static_notes() + notes)


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


def _asgi_app(target: str, folder: Path, settings: Any) -> tuple[Any, tuple[str, ...]]:
    """What ``ASGI_APPLICATION`` names (a setting of Channels and Daphne), and what to say of it."""
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        return None, ()
    module_name, _, attribute = name.rpartition(".")
    try:
        app = getattr(import_module(target, module_name, folder), attribute, None)
    except AppLoadError as error:
        return None, (f"its ASGI app is left out: {error}",)
    return app, (
        f"its ASGI app, for WebSockets, is another target: bridge run {module_name}:{attribute}",
    )


def _djangos_own(target: str) -> Any:
    from django.core.wsgi import get_wsgi_application

    try:
        return get_wsgi_application()
    except Exception as error:
        raise failed(target, "setting up Django", error) from error


def _with_static_files(app: Any) -> Any:
    from bridge.contrib.django import static

    return static.DevelopmentFiles(app) if static.served_below() else app


def _static_notes() -> tuple[str, ...]:
    from bridge.contrib.django import static

    url = static.served_below()
    return (f"DEBUG is on: static files are served from {url}",) if url else ()


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
