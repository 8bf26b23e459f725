"""Imports a module of the user's, and reports which of three things went wrong.

Takes a dotted name and the folder to look in first. Raises :exc:`~bridge.errors.AppLoadError` if
there is no such module (with similar names), if its code failed (the exception is ``__cause__``),
or if another module already has its name.

Importing runs the user's code: on the main thread, before any event loop.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from bridge.cli.load.errors import app_failed, cannot_load, did_you_mean, suggestions

__all__ = ["file_of", "import_module"]


def import_module(target: str, name: str, root: Path) -> ModuleType:
    """Import ``name``, looking in ``root`` first. ``root`` stays first on ``sys.path``.

    :param target: what the user typed, for messages.
    :raises AppLoadError: without ``__cause__`` if there is no such module; with the module's own
        exception as ``__cause__`` if it was found and failed.
    """
    root = root.expanduser().absolute()
    _put_first(str(root))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not _is_missing(error, name):
            raise app_failed(target, f"importing {name}", error) from error
        raise cannot_load(target, _no_module(name, root)) from None
    except (Exception, SystemExit) as error:
        raise app_failed(target, f"importing {name}", error) from error
    _check_not_shadowed(target, module, root)
    return module


def file_of(module: ModuleType) -> Path | None:
    """The file that a module was imported from; None for built-in modules and namespaces."""
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def _put_first(folder: str) -> None:
    importlib.invalidate_caches()
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def _is_missing(error: ModuleNotFoundError, name: str) -> bool:
    """Whether ``name`` itself was not found, rather than something that it imports."""
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("importlib", "_frozen_importlib", "bridge"):
            return False  # a frame of the module itself: it was found, and ran
        traceback = traceback.tb_next
    return error.name is not None and f"{name}.".startswith(f"{error.name}.")


def _check_not_shadowed(target: str, module: ModuleType, root: Path) -> None:
    """Reject, for example, ``email.py`` in the user's folder: Python's `email` is imported already.

    :raises AppLoadError: the imported module is not the one in ``root``.
    """
    top = module.__name__.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(top, [str(root)])
    if spec is None or not spec.has_location or spec.origin is None:
        return
    imported = getattr(sys.modules[top], "__file__", None)
    if imported is None or not _is_same_file(spec.origin, imported):
        raise cannot_load(
            target,
            f"the module name {top!r} is already taken by {imported or 'a built-in module'}, so "
            f"{spec.origin} cannot be imported. Rename your file",
        )


def _is_same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _no_module(name: str, root: Path) -> str:
    parent, _, missing = name.rpartition(".")
    while parent and parent not in sys.modules:
        parent, _, missing = parent.rpartition(".")
    if not parent:
        return _no_top_module(missing, root)
    package = sys.modules[parent]
    if not hasattr(package, "__path__"):
        hint = did_you_mean([f"{parent}:{missing}"] if hasattr(package, missing) else [])
        return f"{parent!r} is a module, not a package ({file_of(package)}).{hint}"
    siblings = [module.name for module in pkgutil.iter_modules(package.__path__)]
    folders = ", ".join(package.__path__)
    no_module = f"there is no module {missing!r} in the package {parent!r} ({folders})."
    return no_module + suggestions(missing, siblings, "modules")


def _no_top_module(name: str, root: Path) -> str:
    no_module = f"there is no module {name!r} in {root} or on sys.path."
    deeper = sorted(root.glob(f"*/{name}.py")) if name.isidentifier() else []
    if deeper:
        return no_module + did_you_mean(file.relative_to(root).as_posix() for file in deeper)
    siblings = [module.name for module in pkgutil.iter_modules([str(root)])]
    return no_module + suggestions(name, siblings, "modules")
