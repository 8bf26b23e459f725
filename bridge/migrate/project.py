"""A project: its modules, its settings, how it is started, and what it told about itself.

What enters: a folder, and what the user chose. What leaves: what rules ask for. Files are read and
parsed when first asked for, and once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import libcst as cst

from bridge.errors import MigrationError
from bridge.migrate.deploy import Deploy, read_deploy
from bridge.migrate.facts import Facts
from bridge.migrate.files import walk
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

    :ivar root: the folder that was named, absolute.
    :ivar base: the folder that ``manage.py`` is in, else ``root``: where imports start.
    :ivar modules: all of its Python files.
    :ivar target: where it is to move.
    :ivar facts: what introspection told; None if it was not asked.
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
    ) -> None:
        self.root = root
        self.target = target
        self.facts = facts
        self._texts = dict(texts or {})
        self.files = tuple(sorted({*files, *self._texts}))
        python = [path for path in self.files if path.suffix == ".py"]
        self.base = _base(root, python)
        self.modules = [Module(path, self._name(path), self._texts.get(path)) for path in python]
        self._chosen_settings = settings_module

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what was read and parsed: the other process does that itself."""
        arguments = (self.root, self.files, self.target, self._chosen_settings, self.facts)
        return _rebuilt, (*arguments, self._texts)

    def with_texts(self, texts: Mapping[Path, Text]) -> Project:
        """The same project, as if these files had been written."""
        return self._like(self.facts, self.target, texts)

    def with_facts(self, facts: Facts | None, target: Target | None = None) -> Project:
        """The same project, having told this about itself, and moving there."""
        return self._like(facts, target or self.target, self._texts)

    def _like(self, facts: Facts | None, target: Target, texts: Mapping[Path, Text]) -> Project:
        return Project(
            self.root,
            self.files,
            target=target,
            settings_module=self._chosen_settings,
            facts=facts,
            texts=texts,
        )

    def _name(self, path: Path) -> str:
        folder = self.base if path.is_relative_to(self.base) else self.root
        if folder == self.root == self.base and path.is_relative_to(folder / "src"):
            folder = folder / "src"
        parts = path.relative_to(folder).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def relative(self, path: Path) -> str:
        """A path as the user should see it: from the project's folder on, with ``/``."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    # -- files -------------------------------------------------------------------------------------

    def original(self, path: Path) -> Text | None:
        """The text of a file as it is on disk; None if there is none."""
        return read_text(path) if path.is_file() else None

    def text_of(self, path: Path) -> Text:
        """The text of a file, changes that are not written yet included.

        :raises CannotRead: it cannot be read.
        """
        return self._texts.get(path) or read_text(path)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file, or will be."""
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
        """Modules without the folders before their package: those may be on ``sys.path``."""
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
        """The project's module of that dotted name; None for modules from elsewhere.

        ``shop.views`` may be in ``apps/shop/views.py``, where ``apps`` is no package and no other
        folder has such a module.
        """
        return self._by_name.get(name) or self._by_short_name.get(name)

    def module_at(self, path: Path | str) -> Module | None:
        """The project's module in that file."""
        return self._by_path.get(Path(path))

    def containing(self, *texts: str) -> Iterator[Module]:
        """The modules whose text has one of these, and which can be parsed."""
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
        """A class or function of the project by its dotted name; re-exports are followed."""
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

    @functools.cached_property
    def settings_module(self) -> str | None:
        """The name of the settings module: as chosen, else the default in ``manage.py`` & co."""
        if self._chosen_settings:
            return self._chosen_settings
        ordered = sorted(self.containing(_VARIABLE), key=lambda m: (m is not self.manage, m.name))
        found = (default_settings(module) for module in ordered)
        return next((name for name in found if name), None)

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, as written and as introspection told them."""
        name = self.settings_module
        written = read_settings(self.module, name) if name else {}
        told = self.facts.settings if self.facts else None
        changed = {setting.module.path for setting in written.values() if setting.module}
        return Settings(written, told, is_changed=not changed.isdisjoint(self._texts))

    # -- how it is started -------------------------------------------------------------------------

    @functools.cached_property
    def deploy(self) -> Deploy:
        """Start commands and the configuration of servers and proxies."""
        return read_deploy(self.files, self._texts)


def _rebuilt(
    root: Path,
    files: Sequence[Path],
    target: Target,
    settings_module: str | None,
    facts: Facts | None,
    texts: Mapping[Path, Text],
) -> Project:
    return Project(
        root, files, target=target, settings_module=settings_module, facts=facts, texts=texts
    )


def default_settings(module: Module) -> str | None:
    """The settings module that a file sets as its default, in ``os.environ``."""
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
) -> Project:
    """The project in a folder.

    :param path: the folder, or the ``manage.py`` in it.
    :param exclude: patterns of files to leave out; see :func:`bridge.migrate.files.walk`.
    :raises MigrationError: there is no such folder, or no Python in it.
    """
    root = path.parent if path.name == "manage.py" and path.is_file() else path
    if not root.is_dir():
        raise MigrationError(f"{path}: no such folder" if not path.exists() else _no_folder(path))
    files = list(walk(root.absolute(), exclude))
    if not any(each.suffix == ".py" for each in files):
        raise MigrationError(f"{path} is not a project: there is no Python file in it")
    return Project(
        root.absolute(), files, target=target, settings_module=settings_module, facts=facts
    )


def _no_folder(path: Path) -> str:
    return f"{path} is a file: name the folder of the project, the one with manage.py"
