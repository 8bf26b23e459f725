"""Compose files, Kubernetes manifests, Helm values, and other YAML that starts processes.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.Part` for each service
or container, with the directives that configure its process. Pure.

Compose services are the mappings below ``services``; containers are the items of ``containers`` and
``initContainers``. Any other document, such as Helm values or a platform's blueprint, is one part
if it sets variables. Anchors and ``<<`` are followed, ``{{ ... }}`` of templates are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bridge.migrate.deploy.expansion import conditions_in, expand
from bridge.migrate.deploy.images import is_other_image
from bridge.migrate.deploy.records import Option, Part
from bridge.migrate.deploy.yaml_nodes import compose, get, line_of, pairs, scalars, text_of
from bridge.migrate.literals import UNKNOWN

__all__ = ["yaml_parts"]

_VARIABLES = re.compile(
    r"env|environment|(\w*_)?env(ironment)?_?vars?|envs|\w*Env|\w*EnvVars?|env_variables"
)
_MAY_START = re.compile(r"services|containers|initContainers|env|Env|ConfigMap|Secret")
_NOT_LISTED = frozenset({"environment", "env_file", "env", "envFrom", "image", "build", "labels"})
_MAX_DEPTH = 30


def yaml_parts(path: Path, text: str) -> Iterator[Part]:
    """The parts of a YAML file; none if it cannot be parsed."""
    if not _MAY_START.search(text):
        return
    for document in compose(text):
        services = get(document, "services")
        if isinstance(services, yaml.MappingNode) and _is_compose(services):
            for key, service in pairs(services):
                if get(service, "build") is not None or not is_other_image(
                    text_of(get(service, "image"))
                ):
                    yield _service(path, key, service)
            continue
        containers = list(_containers(document))
        if containers:
            for group, each in containers:
                if not is_other_image(text_of(get(each, "image"))):
                    yield _container(path, document, each, group)
            continue
        if text_of(get(document, "kind")) in ("ConfigMap", "Secret"):
            yield _config_map(path, document)
            continue
        variables = tuple(_all_variables(path, document))
        if variables:
            last = int(document.end_mark.line) + 1
            yield Part("yaml", path.name, path, line_of(document), last, (), variables)


def _is_compose(services: yaml.MappingNode) -> bool:
    keys = {"image", "build", "command", "environment", "ports", "extends", "env_file"}
    return any(key.value in keys for _, each in pairs(services) for key, _ in pairs(each))


def _part(
    source: str,
    name: str,
    path: Path,
    node: yaml.Node,
    first: int,
    options: list[Option],
    variables: list[Option],
    files: list[Option],
) -> Part:
    last = int(node.end_mark.line) + (1 if node.end_mark.column else 0)
    return Part(
        source, name, path, first, max(first, last), tuple(options), tuple(variables), tuple(files)
    )


def _option(path: Path, source: str, name: str, shown: str, value: Any, line: int) -> Option:
    raw = value if isinstance(value, str) else " ".join(value)
    default = expand(raw, {}) if isinstance(value, str) else value
    return Option(
        name,
        shown,
        value,
        path,
        line,
        source=source,
        default=default,
        raw=raw,
        condition=conditions_in(raw),
    )


# -- compose ---------------------------------------------------------------------------------------


def _service(path: Path, key: yaml.ScalarNode, service: yaml.Node) -> Part:
    options: dict[str, Option] = {}
    variables: list[Option] = []
    files: list[Option] = []
    for name, value in pairs(service):
        if name.value == "environment":
            variables += _variables_of(path, value, "environment")
        elif name.value == "env_file":
            files = [
                _option(path, "compose", "env_file", "env_file", each, line)
                for each, line in _env_files(value)
            ]
        elif name.value == "deploy":
            options.update(_nested(path, "compose", name.value, value))
        elif name.value not in _NOT_LISTED:
            options.update(_listed(path, "compose", name.value, name.value, value, name))
    return _part(
        "compose", key.value, path, service, line_of(key), list(options.values()), variables, files
    )


def _env_files(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """``.env``, a list of names, or of ``path: .env``."""
    for each in scalars(node):
        yield each.value, line_of(each)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        named = get(item, "path")
        if isinstance(named, yaml.ScalarNode):
            yield named.value, line_of(named)


def _listed(
    path: Path, source: str, name: str, shown: str, node: yaml.Node, key: yaml.Node
) -> dict[str, Option]:
    """A directive with a scalar or a list; with a mapping, a directive for each key."""
    if isinstance(node, yaml.MappingNode):
        return _nested(path, source, name, node)
    found = scalars(node)
    is_scalar = isinstance(node, yaml.ScalarNode)
    value = found[0].value if is_scalar else [each.value for each in found]
    if not is_scalar and isinstance(node, yaml.SequenceNode) and len(found) < len(node.value):
        value = [*value, *(_flow(each) for each in node.value if each not in found)]
    return {name: _option(path, source, name, shown, value, line_of(key))}


def _nested(path: Path, source: str, name: str, node: yaml.Node) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for key, value in pairs(node):
        inner = f"{name}.{key.value}"
        if len(inner.split(".")) < 6:
            options.update(_listed(path, source, inner, inner, value, key))
    return options


def _flow(node: yaml.Node) -> str:
    """A mapping in one line."""
    return ", ".join(f"{key.value}: {text_of(value) or '...'}" for key, value in pairs(node))


# -- Kubernetes ------------------------------------------------------------------------------------


def _containers(node: yaml.Node, depth: int = 0) -> Iterator[tuple[str, yaml.Node]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _containers(each, depth + 1)
    for key, value in pairs(node):
        if key.value in ("containers", "initContainers") and isinstance(value, yaml.SequenceNode):
            yield from ((key.value, each) for each in value.value if get(each, "name") is not None)
        else:
            yield from _containers(value, depth + 1)


def _container(path: Path, document: yaml.Node, node: yaml.Node, group: str) -> Part:
    options: dict[str, Option] = {}
    variables: list[Option] = []
    files: list[Option] = []
    for name, value in pairs(node):
        if name.value == "env":
            variables += _variables_of(path, value, "env")
        elif name.value == "envFrom":
            files += _env_from(path, value)
        elif name.value not in ("name", *_NOT_LISTED):
            options.update(_listed(path, "kubernetes", name.value, name.value, value, name))
    for name, value in pairs(_pod_of(document, node)):
        if name.value in ("securityContext", "terminationGracePeriodSeconds", "hostNetwork"):
            options.update(
                _listed(path, "kubernetes", f"pod.{name.value}", name.value, value, name)
            )
    for name, value in pairs(get(document, "spec")):
        if name.value == "replicas":
            options.update(_listed(path, "kubernetes", "replicas", "replicas", value, name))
    title = text_of(get(node, "name")) or group
    return _part(
        "kubernetes", title, path, node, line_of(node), list(options.values()), variables, files
    )


def _pod_of(node: yaml.Node, container: yaml.Node, depth: int = 0) -> yaml.Node | None:
    """The mapping whose list of containers contains this one."""
    if depth > _MAX_DEPTH:
        return None
    for key, value in pairs(node):
        is_list = isinstance(value, yaml.SequenceNode)
        if key.value in ("containers", "initContainers") and is_list and container in value.value:
            return node
        found = _pod_of(value, container, depth + 1)
        if found is not None:
            return found
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            found = _pod_of(each, container, depth + 1)
            if found is not None:
                return found
    return None


def _env_from(path: Path, node: yaml.Node) -> Iterator[Option]:
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        for kind in ("configMapRef", "secretRef"):
            name = get(item, kind, "name")
            if isinstance(name, yaml.ScalarNode):
                yield _option(path, "kubernetes", "envFrom", kind, name.value, line_of(name))


def _config_map(path: Path, document: yaml.Node) -> Part:
    name = text_of(get(document, "metadata", "name")) or path.name
    is_secret = text_of(get(document, "kind")) == "Secret"
    data = get(document, "stringData" if is_secret else "data")
    variables = list(_variables_of(path, data, "data")) if data is not None else []
    return _part("configmap", name, path, document, line_of(document), [], variables, [])


# -- variables -------------------------------------------------------------------------------------


def _variables_of(path: Path, node: yaml.Node | None, shown: str) -> Iterator[Option]:
    """``A: 1``, ``- A=1``, or ``- name: A`` with ``value: 1``."""
    for key, value in pairs(node):
        text = text_of(value)
        if text is not None and "\n" not in text:
            yield _option(path, "environment", key.value, shown, text, line_of(key))
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(item, yaml.ScalarNode):
            name, equals, text = item.value.partition("=")
            if equals:
                yield _option(path, "environment", name, shown, text, line_of(item))
            continue
        name_node = get(item, "name") or get(item, "key")
        given = text_of(get(item, "value"))
        if not isinstance(name_node, yaml.ScalarNode):
            continue
        if given is not None:
            yield _option(path, "environment", name_node.value, shown, given, line_of(name_node))
        elif get(item, "valueFrom") is not None:
            yield _from_elsewhere(path, name_node, shown, get(item, "valueFrom"))


def _from_elsewhere(
    path: Path, name: yaml.ScalarNode, shown: str, source: yaml.Node | None
) -> Option:
    """A variable whose value is in a secret or another object of the cluster."""
    kinds = ", ".join(key.value for key, _ in pairs(source))
    option = _option(path, "environment", name.value, shown, f"valueFrom: {kinds}", line_of(name))
    return replace(option, value=UNKNOWN, default=None)


def _all_variables(path: Path, node: yaml.Node, depth: int = 0) -> Iterator[Option]:
    """The variables anywhere in a document, under a key that says that it has some."""
    if depth > _MAX_DEPTH:
        return
    for key, value in pairs(node):
        if _VARIABLES.fullmatch(key.value):
            yield from _variables_of(path, value, key.value)
        else:
            yield from _all_variables(path, value, depth + 1)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        yield from _all_variables(path, item, depth + 1)
