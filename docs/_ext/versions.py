"""``{python-versions}`` and ``{package-versions}``: tables of what the tests run on.

Read from ``noxfile.py`` and ``setup.cfg`` while the docs are built, so they cannot be out of date.
The files are parsed, not executed: building the docs needs no nox.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "Django": "django",
    "Flask": "flask",
    "FastAPI": "fastapi",
    "Starlette": "starlette",
    "Quart": "quart",
    "uvicorn": "uvicorn",
    "granian": "granian",
    "hypercorn": "hypercorn",
    "daphne": "daphne",
    "gunicorn": "gunicorn",
    "waitress": "waitress",
    "asgiref": "asgiref",
    "Channels": "channels",
    "websockets": "websockets",
}
"""The name on the page -> the distribution."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^]]*\])?>=(?P<oldest>[\d.]+)")


@dataclass(frozen=True)
class Session:
    """A session of nox.

    :ivar pythons: those it runs on; empty for the one that nox itself runs on.
    :ivar parameters: a package -> the versions that it is installed in.
    """

    name: str
    pythons: tuple[str, ...] = ()
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)


def sessions_of(source: str) -> Iterator[Session]:
    """The sessions of a noxfile, in its order."""
    constants: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = _value(node.value, constants)
        elif isinstance(node, ast.FunctionDef):
            yield from _session(node, constants)


def _session(function: ast.FunctionDef, constants: dict[str, Any]) -> Iterator[Session]:
    pythons: tuple[str, ...] = ()
    parameters: dict[str, tuple[str, ...]] = {}
    decorators = [ast.unparse(each).partition("(")[0] for each in function.decorator_list]
    if "nox.session" not in decorators:
        return
    for call in function.decorator_list:
        if not isinstance(call, ast.Call):
            continue
        if ast.unparse(call.func) == "nox.parametrize":
            name, versions = (_value(each, constants) for each in call.args)
            parameters[name] = tuple(each.removeprefix(f"{name}==") for each in versions)
        for keyword in call.keywords:
            if keyword.arg == "python":
                value = _value(keyword.value, constants) or ()
                pythons = (value,) if isinstance(value, str) else tuple(value)
    yield Session(function.name, pythons, parameters)


def _value(node: ast.expr, constants: dict[str, Any]) -> Any:
    """The value of a literal, or of a name assigned above; None for anything else."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def oldest_versions(setup: ConfigParser) -> dict[str, str]:
    """The lower bound of each requirement; if there are several, that of the users' extras."""
    groups = dict(setup["options.extras_require"])
    texts = [groups.pop("test"), *groups.values(), setup["options"]["install_requires"]]
    found = (match for text in texts for match in _REQUIREMENT.finditer(text))
    return {match["name"].lower(): match["oldest"] for match in found}


def python_rows(sessions: list[Session]) -> list[tuple[str, ...]]:
    versions = next(each.pythons for each in sessions if each.name == "tests")
    return [
        (version, ", ".join(f"`{each.name}`" for each in sessions if version in each.pythons))
        for version in versions
    ]


def package_rows(sessions: list[Session], oldest: dict[str, str]) -> list[tuple[str, ...]]:
    return [
        (title, f"{oldest[name]} and later", _tested(name, sessions))
        for title, name in PACKAGES.items()
    ]


def _tested(name: str, sessions: list[Session]) -> str:
    pinned = {each.name: each.parameters[name] for each in sessions if name in each.parameters}
    texts = [
        f"{', '.join(version for version in versions if version != name)} (`nox -s {session}`)"
        for session, versions in pinned.items()
    ]
    return "; ".join(["newest", *texts])


class _Table(SphinxDirective):
    head: tuple[str, ...]

    def rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # what is read may change without the page
        lines = [self.head, ("---",) * len(self.head), *self.rows()]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        node = nodes.container(classes=["versions"])
        self.state.nested_parse(StringList(text.splitlines(), source=""), 0, node)
        return [node]

    @property
    def sessions(self) -> list[Session]:
        return list(sessions_of((ROOT / "noxfile.py").read_text("utf-8")))


class PythonVersions(_Table):
    """Each version of Python, and the sessions of nox that run on it."""

    head = ("Python", "Sessions of nox")

    def rows(self) -> list[tuple[str, ...]]:
        return python_rows(self.sessions)


class PackageVersions(_Table):
    """Each framework and server: the oldest version that is supported, and those tested."""

    head = ("Package", "Supported", "Tested")

    def rows(self) -> list[tuple[str, ...]]:
        setup = ConfigParser(interpolation=None)
        setup.read(ROOT / "setup.cfg", "utf-8")
        return package_rows(self.sessions, oldest_versions(setup))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("python-versions", PythonVersions)
    app.add_directive("package-versions", PackageVersions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
