"""A project: its files, modules, settings, start commands and introspected facts.

Input: a folder and the user's options. Output: the data that rules need. Each file is read and
parsed on first use, once.
"""

from __future__ import annotations

import fnmatch
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import libcst as cst

from bridge.errors import MigrationError
from bridge.migrate.deploy.read import read_deploy
from bridge.migrate.deploy.records import Deploy
from bridge.migrate.deploy.settings_places import SettingsPlace, settings_places
from bridge.migrate.display import quoted_name
from bridge.migrate.facts import Facts
from bridge.migrate.findings import Target
from bridge.migrate.literals import evaluate
from bridge.migrate.module import Module
from bridge.migrate.settings import Settings, read_settings
from bridge.migrate.text import CannotRead, Text, read_text

__all__ = ["Project", "open_project"]

Definition = tuple[Module, cst.ClassDef | cst.FunctionDef]
_VARIABLE = "DJANGO_SETTINGS_MODULE"


class Project:
    """One project.

    :ivar root: the project's folder, absolute.
    :ivar base: the folder with ``manage.py``, else ``root``: where imports start.
    :ivar modules: all of its Python files.
    :ivar target: where it moves to.
    :ivar facts: the result of introspection; None without it.
    :ivar requirement: how `bridge` is listed as a requirement; None for its name alone.
    :ivar accepted: the options of the old deployment that may be dropped, as written.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        *,
        target: Target = Target.BRIDGE,
        settings_module: str | None = None,
        facts: Facts | None = None,
        texts: Mapping[Path, Text] | None = None,
        requirement: str | None = None,
        accepted: frozenset[str] = frozenset(),
    ) -> None:
        self.root = root
        self.accepted = accepted
        self.requirement = requirement
        self.target = target
        self.facts = facts
        self._texts = dict(texts or {})
        self.files = tuple(sorted({*files, *self._texts}))
        python = [path for path in self.files if path.suffix == ".py"]
        self.base = _base(root, python)
        self.modules = [Module(path, self._name(path), self._texts.get(path)) for path in python]
        self._settings_option = settings_module

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without file contents and trees: the other process reads and parses itself."""
        arguments = (self.root, self.files, self.target, self._settings_option, self.facts)
        return _rebuilt, (*arguments, self._texts, self.requirement, self.accepted)

    def with_texts(self, texts: Mapping[Path, Text]) -> Project:
        """The same project, as if these files had been written."""
        return self._copy(self.facts, self.target, texts)

    def with_facts(self, facts: Facts | None, target: Target | None = None) -> Project:
        """The same project with these facts, and with another target if one is given."""
        return self._copy(facts, target or self.target, self._texts)

    def _copy(self, facts: Facts | None, target: Target, texts: Mapping[Path, Text]) -> Project:
        return Project(
            self.root,
            self.files,
            target=target,
            settings_module=self._settings_option,
            facts=facts,
            texts=texts,
            requirement=self.requirement,
            accepted=self.accepted,
        )

    def _name(self, path: Path) -> str:
        folder = self.base if path.is_relative_to(self.base) else self.root
        if folder == self.root == self.base and path.is_relative_to(folder / "src"):
            folder = folder / "src"
        parts = path.relative_to(folder).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def relative(self, path: Path) -> str:
        """A path relative to the project's folder, with ``/``; outside of it, unchanged."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def shown(self, path: Path) -> str:
        """The relative path for display: quoted if it is not plain; see :func:`quoted_name`."""
        return quoted_name(self.relative(path))

    # -- files -------------------------------------------------------------------------------------

    def original(self, path: Path) -> Text | None:
        """The text of a file on disk; None if there is no such file."""
        return read_text(path) if path.is_file() else None

    def text_of(self, path: Path) -> Text:
        """The text of a file, including changes that are not written yet.

        :raises CannotRead: the file cannot be read.
        """
        return self._texts.get(path) or read_text(path)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file, or a fix creates it."""
        return path in self._texts or path.exists()

    def lines(self, path: Path) -> list[str]:
        """The lines of a file; none if it is a folder or cannot be read."""
        try:
            return self.text_of(path).lines()
        except CannotRead:
            return []

    # -- modules -----------------------------------------------------------------------------------

    @functools.cached_property
    def _by_name(self) -> dict[str, Module]:
        return {module.name: module for module in self.modules}

    @functools.cached_property
    def _by_path(self) -> dict[Path, Module]:
        return {module.path: module for module in self.modules}

    @functools.cached_property
    def _by_short_name(self) -> dict[str, Module]:
        """Modules by the name without the folders above their package, which may be on
        ``sys.path``."""
        packages = {module.path.parent for module in self.modules if module.is_package}
        found: dict[str, list[Module]] = {}
        for module in self.modules:
            folder = module.path.parent.parent if module.is_package else module.path.parent
            name = module.path.parent.name if module.is_package else module.path.stem
            while folder in packages:
                folder, name = folder.parent, f"{folder.name}.{name}"
            found.setdefault(name, []).append(module)
        return {name: modules[0] for name, modules in found.items() if len(modules) == 1}

    def module(self, name: str) -> Module | None:
        """The project's module with this dotted name; None for other modules.

        ``shop.views`` may be in ``apps/shop/views.py``, if ``apps`` is not a package and no other
        folder has such a module.
        """
        return self._by_name.get(name) or self._by_short_name.get(name)

    def module_at(self, path: Path | str) -> Module | None:
        """The project's module in this file."""
        return self._by_path.get(Path(path))

    def containing(self, *texts: str) -> Iterator[Module]:
        """The modules that contain one of these texts and can be parsed."""
        for module in self.modules:
            try:
                if any(text in module.text for text in texts):
                    _ = module.tree
                    yield module
            except CannotRead:
                continue  # the report names it: see Module.failure

    def defined_in(self, path: Path | str, name: str) -> Definition | None:
        """A class or function at the top level of a file of the project."""
        module = self.module_at(path)
        try:
            found = None if module is None else _top_level(module, name)
        except CannotRead:
            return None
        return None if module is None or found is None else (module, found)

    def find(self, dotted: str) -> Definition | None:
        """A class or function of the project by its dotted name; follows re-exports."""
        for _ in range(10):
            name, _, attribute = dotted.rpartition(".")
            module = self.module(name)
            if module is None:
                return None
            try:
                found = _top_level(module, attribute)
            except CannotRead:
                return None
            if found is not None:
                return module, found
            if attribute not in module.imports:
                return None
            dotted = module.imports[attribute]
        return None

    # -- what kind of project ----------------------------------------------------------------------

    @functools.cached_property
    def manage(self) -> Module | None:
        """Django's ``manage.py``."""
        return self.module_at(self.base / "manage.py")

    @property
    def is_django(self) -> bool:
        """Whether it is a Django project: it has a settings module."""
        return self.settings_module is not None

    @property
    def import_failures(self) -> Mapping[str, str]:
        """Why an app cannot be imported, by its name; empty without introspection."""
        return self.facts.targets if self.facts is not None else {}

    @functools.cached_property
    def settings_places(self) -> tuple[SettingsPlace, ...]:
        """Where the deployment names the settings module, apart from files for development."""
        return tuple(settings_places(self.deploy, self.root))

    @functools.cached_property
    def settings_module(self) -> str | None:
        """The settings module.

        From the options, else that of the deployment, else the default in the served ``wsgi.py``,
        ``manage.py`` or others.
        """
        if self._settings_option:
            return self._settings_option
        if self.settings_places:
            return self.settings_places[0].module
        served = {each.target.partition(":")[0] for each in self.deploy.commands if each.target}

        def order(module: Module) -> tuple[bool, bool, str]:
            return module.name not in served, module is not self.manage, module.name

        ordered = sorted(self.containing(_VARIABLE), key=order)
        found = (default_settings(module) for module in ordered)
        return next((name for name in found if name), None)

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, from the sources and from introspection."""
        name = self.settings_module
        written = read_settings(self.module, name) if name else {}
        resolved = self.facts.settings if self.facts else None
        paths = {setting.module.path for setting in written.values() if setting.module}
        return Settings(written, resolved, is_changed=not paths.isdisjoint(self._texts))

    # -- how it is started -------------------------------------------------------------------------

    @functools.cached_property
    def deploy(self) -> Deploy:
        """The start commands, and the configuration of servers and proxies."""
        return read_deploy(self.files, self._texts, self.root)


def _rebuilt(
    root: Path,
    files: Sequence[Path],
    target: Target,
    settings_module: str | None,
    facts: Facts | None,
    texts: Mapping[Path, Text],
    requirement: str | None,
    accepted: frozenset[str],
) -> Project:
    return Project(
        root,
        files,
        target=target,
        settings_module=settings_module,
        facts=facts,
        texts=texts,
        requirement=requirement,
        accepted=accepted,
    )


def default_settings(module: Module) -> str | None:
    """The settings module that a file puts into ``os.environ``."""
    for call in module.nodes(cst.Call):
        values = [evaluate(each.value) for each in call.args]
        if values[:1] == [_VARIABLE] and len(values) == 2 and isinstance(values[1], str):
            return values[1]
    for node in module.nodes(cst.Assign):
        target = node.targets[0].target
        if isinstance(target, cst.Subscript) and _VARIABLE in module.source(target):
            value = evaluate(node.value)
            return value if isinstance(value, str) else None
    return None


def _top_level(module: Module, name: str) -> cst.ClassDef | cst.FunctionDef | None:
    found: list[cst.ClassDef | cst.FunctionDef] = [
        *module.nodes(cst.ClassDef),
        *module.nodes(cst.FunctionDef),
    ]
    named = (node for node in found if node.name.value == name)
    return next((node for node in named if not module.enclosing(node, *_SCOPES)), None)


_SCOPES = (cst.ClassDef, cst.FunctionDef, cst.Lambda)


def _base(root: Path, python: Sequence[Path]) -> Path:
    """The folder of the uppermost ``manage.py``; the project's folder if there is none."""
    found = [path.parent for path in python if path.name == "manage.py"]
    return min(found, key=lambda folder: (len(folder.parts), folder), default=root)


def open_project(
    path: Path,
    *,
    target: Target = Target.BRIDGE,
    settings_module: str | None = None,
    exclude: Sequence[str] = (),
    facts: Facts | None = None,
    requirement: str | None = None,
    accepted: frozenset[str] = frozenset(),
) -> Project:
    """The project in a folder.

    :param path: the folder, or the ``manage.py`` in it.
    :param exclude: patterns of paths to skip, relative to the folder, as ``docs/*`` or
        ``*/testdata``; a folder is skipped with all its contents.
    :param requirement: see :class:`Project`.
    :param accepted: see :class:`Project`.
    :raises MigrationError: there is no such folder, or it contains no Python file.
    """
    root = path.parent if path.name == "manage.py" and path.is_file() else path
    if not path.exists():
        raise MigrationError(f"{path}: no such folder")
    if not root.is_dir():
        raise MigrationError(f"{path} is a file: pass the project's folder, the one with manage.py")
    files = list(_walk(root.absolute(), exclude))
    if not any(each.suffix == ".py" for each in files):
        raise MigrationError(f"{path} is not a project: it contains no Python file")
    return Project(
        root.absolute(),
        files,
        target=target,
        settings_module=settings_module,
        facts=facts,
        requirement=requirement,
        accepted=accepted,
    )


_SKIPPED_FOLDERS = frozenset(
    {
        *("__pycache__", "node_modules", "site-packages", "build", "dist", ".eggs"),
        *(".git", ".hg", ".svn", ".idea", ".vscode", ".tox", ".nox"),
        *(".venv", "venv", "env", ".env"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    }
)


def _walk(root: Path, exclude: Sequence[str]) -> Iterator[Path]:
    """Every file of a project, sorted by folder.

    Symlinks to folders are not followed, so that no file is seen twice and no loop is endless.
    Pipes, sockets and devices are skipped, because reading one may never end.
    """
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not _is_skipped(root, here / name, exclude))
        for name in sorted(names):
            if _is_a_file(here / name) and not _is_excluded(root, here / name, exclude):
                yield here / name


def _is_a_file(path: Path) -> bool:
    """A broken symlink counts, so that it is reported as unreadable."""
    return path.is_file() or not path.exists()


def _is_skipped(root: Path, folder: Path, exclude: Sequence[str]) -> bool:
    if folder.name in _SKIPPED_FOLDERS or folder.name.endswith(".egg-info"):
        return True
    return (folder / "pyvenv.cfg").exists() or _is_excluded(root, folder, exclude)


def _is_excluded(root: Path, path: Path, exclude: Sequence[str]) -> bool:
    relative = path.relative_to(root).as_posix()
    return any(fnmatch.fnmatch(relative, pattern.rstrip("/")) for pattern in exclude)
