"""Loads the app that a target names: ``main:app``, ``main.py``, or a Django folder.

Returns a :class:`LoadedApp`, or raises :exc:`~bridge.errors.AppLoadError` with what was looked for,
where, and which names are similar. Importing runs the user's code: on the main thread, before any
event loop.

A target takes one of these forms:

=============================  =====================================================================
``module:attr``                an app in a module, as for uvicorn and gunicorn
``module:attr.sub``            an attribute of something in a module
``module:factory("x", n=1)``   what a factory returns; its arguments are Python literals
``module``                     ``app`` or ``application`` in it, or in its ``wsgi`` or ``asgi``
``dir/main.py``, and with the  the same by the file's path; a file inside a package is imported as
endings above                  part of it, so that its relative imports work
``dir``                        a folder with ``manage.py``: the Django project in it
=============================  =====================================================================

Nothing is evaluated: names are looked up, and arguments are passed to `ast.literal_eval`.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from bridge.cli.load.django_project import load_project, project_folder
from bridge.cli.load.errors import app_failed, cannot_load, did_you_mean, suggestions
from bridge.cli.load.module import file_of, import_module
from bridge.errors import AmbiguousApp, AppLoadError
from bridge.interface import app_inside, interface_of
from bridge.types import Interface

__all__ = ["LoadedApp", "load"]

_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<expression>.+))?", re.DOTALL)
_CONVENTIONAL = ("app", "application", "asgi", "wsgi")
_CONVENTIONAL_MODULES = ("wsgi", "asgi")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application")


@dataclass(frozen=True)
class LoadedApp:
    """An app, and where it was found.

    :ivar app: the app itself.
    :ivar target: what the user typed.
    :ivar source: the full ``module:attr``, or the name of the Django project.
    :ivar file: the file it was imported from; None for a module without one.
    :ivar notes: decisions made while loading that the user should know of.
    """

    app: Any
    target: str
    source: str
    file: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def interface(self) -> Interface:
        """The app's interface, detected on first use.

        :raises AmbiguousApp: see :func:`bridge.interface_of`.
        """
        return interface_of(self.app)


def load(target: str, *, app_dir: str | os.PathLike[str] | None = None) -> LoadedApp:
    """Import the app that ``target`` names.

    Puts the directory it imports from first on ``sys.path``: ``app_dir``, or the root of the
    package that the given file is in, or the Django project's folder.

    :param target: see the table at the top of this module.
    :param app_dir: the folder to import modules from first; the current directory if not given.
    :raises AppLoadError: the target names no app, or the app's own code failed while it was
        imported or its factory called. In the latter case ``__cause__`` is the app's exception,
        with its traceback.
    """
    folder = project_folder(target)
    if folder is not None:
        project = load_project(folder, target)
        return LoadedApp(project.app, target, project.source, folder / "manage.py", project.notes)
    file = _FILE.fullmatch(target)
    if file is not None:
        return _load_file(target, Path(file["path"]), file["expression"] or "")
    name, colon, expression = target.partition(":")
    if colon and not name.strip():
        raise cannot_load(
            target, f"the module is missing before the colon, as in main:{expression}"
        )
    _reject_path(target, name)
    return _load_from(target, name.strip(), expression.strip(), Path(app_dir or "."))


def _reject_path(target: str, name: str) -> None:
    """Report a path that is neither a file nor a Django project as a path, not as a module."""
    if os.sep not in name and "/" not in name and name.strip(". "):
        return
    found = "has no manage.py" if Path(name).is_dir() else "does not exist"
    raise _not_a_target(target, f"the folder {Path(name).absolute()} {found}")


def _not_a_target(target: str, why: str) -> AppLoadError:
    return cannot_load(
        target,
        f"{why}. A target is module:attr, a .py file, or a folder with the manage.py of a Django "
        "project",
    )


def _load_file(target: str, path: Path, expression: str) -> LoadedApp:
    path = path.expanduser().absolute()
    if not path.is_file():
        raise cannot_load(target, _no_file(path))
    if "." in path.stem:
        raise cannot_load(
            target,
            f"Python cannot import a file with a dot in its name ({path}). Rename it, for example "
            f"to {path.stem.replace('.', '_')}.py",
        )
    root, name = _module_of(path)
    return _load_from(target, name, expression, root)


def _no_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    files = [file.name for file in path.parent.glob("*.py")]
    return f"there is no file {path.name!r} in {path.parent}." + suggestions(
        path.name, files, "files"
    )


def _module_of(path: Path) -> tuple[Path, str]:
    """The directory to import from, and the dotted name: up to where the packages end."""
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _load_from(target: str, name: str, expression: str, root: Path) -> LoadedApp:
    module = import_module(target, name, root)
    if expression:
        app, source = _resolve(target, module, _parse(expression)), f"{name}:{expression}"
    else:
        app, source = _conventional(target, module, root)
    if inspect.iscoroutine(app):
        app.close()  # otherwise Python warns later that it was never awaited
        raise cannot_load(
            target,
            "the factory is async, but no event loop is running yet. Create the app in a plain "
            "function, and do async setup in the app's lifespan startup",
        )
    return LoadedApp(app, target, source, file_of(module))


# -- a module without an attribute -----------------------------------------------------------------


def _conventional(target: str, module: ModuleType, root: Path) -> tuple[Any, str]:
    """The app of a module without an attribute, and its full name."""
    for name in _CONVENTIONAL:
        app = getattr(module, name, None)
        if callable(app):
            return app, f"{module.__name__}:{name}"
    for part in _CONVENTIONAL_MODULES if hasattr(module, "__path__") else ():
        name = f"{module.__name__}.{part}"
        if importlib.util.find_spec(name) is not None:
            return _conventional(target, import_module(target, name, root), root)
    if file_of(module) is None and hasattr(module, "__path__"):  # any folder can be imported
        raise _not_a_target(
            target, f"the folder {module.__path__[0]} has neither a manage.py nor an app"
        )
    raise cannot_load(
        target, _no_app(module) + (_likely(module) or " Name the app, as in module:attr")
    )


def _no_app(module: ModuleType) -> str:
    present = {name: getattr(module, name) for name in _CONVENTIONAL if hasattr(module, name)}
    if not present:
        return f"{_describe(module)} has none of {', '.join(_CONVENTIONAL)}."
    kinds = " and ".join(f"its {name!r} is {_kind(value)}" for name, value in present.items())
    return f"{_describe(module)} has no app: {kinds}, which cannot be called."


def _kind(value: object) -> str:
    if isinstance(value, ModuleType):
        return f"the module {value.__name__!r}"
    return "None" if value is None else f"of type {type(value).__name__}"


def _likely(module: ModuleType) -> str:
    """A question with the targets that look like an app, or a function that creates one."""
    targets, inside = [], []
    for name in _CONVENTIONAL:
        value = getattr(module, name, None)
        if isinstance(value, ModuleType):
            is_app = any(callable(getattr(value, each, None)) for each in _CONVENTIONAL)
            targets += [value.__name__] if is_app else []
        elif not callable(value) and (place := app_inside(value)):
            inside.append(place.format(name))
    names = [name for name, value in vars(module).items() if _looks_like_app(name, value)]
    names += [f"{name}()" for name in _FACTORIES if callable(getattr(module, name, None))]
    return did_you_mean([*targets, *(f"{module.__name__}:{name}" for name in inside + names)])


def _looks_like_app(name: str, value: object) -> bool:
    # Plain functions do not count: too many take two or three arguments.
    if name.startswith("_") or inspect.isclass(value) or inspect.isroutine(value):
        return False
    try:
        interface_of(value)
    except AmbiguousApp:
        return False
    return True


# -- after the colon -------------------------------------------------------------------------------


def _parse(expression: str) -> ast.expr | None:
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError:
        return None


def _resolve(target: str, module: ModuleType, node: ast.expr | None) -> Any:
    match node:
        case ast.Name(id=name):
            return _attribute(target, module, name)
        case ast.Attribute(value=owner, attr=name):
            return _attribute(target, _resolve(target, module, owner), name)
        case ast.Call(func=factory):
            return _call(target, _resolve(target, module, factory), node)
    raise cannot_load(
        target,
        "after the colon, a name or a call is expected, as in main:app, main:site.app or "
        "main:create_app()",
    )


def _attribute(target: str, owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise cannot_load(target, _no_attribute(target, owner, name)) from None


def _no_attribute(target: str, owner: Any, name: str) -> str:
    public = [each for each in dir(owner) if not each.startswith("_")]
    before, after = target.rsplit(name, 1)
    similar = [f"{before}{each}{after}" for each in difflib.get_close_matches(name, public)]
    likely = _likely(owner) if isinstance(owner, ModuleType) and not similar else ""
    return f"{_describe(owner)} has no attribute {name!r}.{did_you_mean(similar) or likely}"


def _call(target: str, factory: Any, node: ast.Call) -> Any:
    args, named = _literals(target, node)
    try:
        return factory(*args, **named)
    except (Exception, SystemExit) as error:
        raise app_failed(target, f"calling {ast.unparse(node)}", error) from error


def _literals(target: str, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
    try:
        args = [ast.literal_eval(arg) for arg in node.args]
        named = [(pair.arg, ast.literal_eval(pair.value)) for pair in node.keywords]
    except ValueError:
        raise _not_literal(target) from None
    if any(name is None for name, _ in named):  # **mapping
        raise _not_literal(target)
    return args, {str(name): value for name, value in named}


def _not_literal(target: str) -> AppLoadError:
    return cannot_load(
        target,
        "the arguments of a factory must be Python literals, such as 'text', 8, True, None, "
        "[1, 2] or {'key': 1}",
    )


def _describe(owner: object) -> str:
    if isinstance(owner, ModuleType):
        return f"the module {owner.__name__!r} ({file_of(owner) or 'built in'})"
    return f"this {type(owner).__module__}.{type(owner).__qualname__} object"
