"""Import a module of the user's, and when that fails say which of the three things happened.

What enters: a dotted name and the directory to look in first. What leaves: the module, or
:exc:`~bridge.errors.AppLoadError`: there is no such module (with near misses), there is one but its
code failed (the exception is ``__cause__``), or another module has taken its name.

Importing runs the user's code: on the main thread, before any event loop.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import os
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from bridge.errors import AppLoadError

__all__ = ["cannot_load", "did_you_mean", "failed", "file_of", "import_module", "or_listed"]

_MOST_LISTED = 8


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
            raise failed(target, f"importing {name}", error) from error
        raise cannot_load(target, _no_module(name, root)) from None
    except (Exception, SystemExit) as error:
        raise failed(target, f"importing {name}", error) from error
    _refuse_shadowed(target, module, root)
    return module


def _put_first(folder: str) -> None:
    importlib.invalidate_caches()
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def _is_missing(error: ModuleNotFoundError, name: str) -> bool:
    """Whether ``name`` itself was not found, and not something that it imports."""
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("importlib", "_frozen_importlib", "bridge"):
            return False  # a frame of the module's own: it was found, and ran
        traceback = traceback.tb_next
    return error.name is not None and f"{name}.".startswith(f"{error.name}.")


def _refuse_shadowed(target: str, module: ModuleType, root: Path) -> None:
    """``email.py`` in the user's folder, and Python's own `email` was imported long ago."""
    top = module.__name__.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(top, [str(root)])
    if spec is None or not spec.has_location or spec.origin is None:
        return
    taken_by = getattr(sys.modules[top], "__file__", None)
    if taken_by is None or not _is_same_file(spec.origin, taken_by):
        by = taken_by or "a built-in module"
        raise cannot_load(
            target,
            f"the name {top!r} is taken already by {by}, so {spec.origin} cannot be imported "
            f"under it. Rename your file",
        )


def _is_same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


# -- what to tell the user -------------------------------------------------------------------------


def cannot_load(target: str, why: str) -> AppLoadError:
    """The error for a target that leads nowhere. ``why`` is a sentence without its full stop."""
    return AppLoadError(f"cannot load {target!r}: {why}")


def failed(target: str, doing: str, error: BaseException) -> AppLoadError:
    """The error for a target whose own code raised ``error``: raise it ``from error``."""
    said = f"failed with {type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SystemExit):
        said = f"called sys.exit({error.code!r}); guard that with if __name__ == '__main__'"
    return cannot_load(target, f"{doing} {said}")


def file_of(module: ModuleType) -> Path | None:
    """The file that a module was imported from; None for built-in and namespace ones."""
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


def did_you_mean(choices: Iterable[str]) -> str:
    """A question to append to a message, with a space before it; empty without choices."""
    quoted = " or ".join(repr(choice) for choice in choices)
    return f" Did you mean {quoted}?" if quoted else ""


def or_listed(name: str, there: Iterable[str], kind: str) -> str:
    """What comes near ``name`` among ``there``; or else what is there, at most eight of it."""
    there = sorted(set(there))
    near = did_you_mean(difflib.get_close_matches(name, there))
    if near or not there:
        return near
    more = ", ..." if len(there) > _MOST_LISTED else ""
    return f" {kind} there: {', '.join(there[:_MOST_LISTED])}{more}"


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
    where = ", ".join(package.__path__)
    no_module = f"there is no module {missing!r} in the package {parent!r} ({where})."
    return no_module + or_listed(missing, siblings, "Modules")


def _no_top_module(name: str, root: Path) -> str:
    no_module = f"there is no module {name!r} in {root} nor on sys.path."
    deeper = sorted(root.glob(f"*/{name}.py")) if name.isidentifier() else []
    if deeper:
        return no_module + did_you_mean(file.relative_to(root).as_posix() for file in deeper)
    siblings = [module.name for module in pkgutil.iter_modules([str(root)])]
    return no_module + or_listed(name, siblings, "Modules")
