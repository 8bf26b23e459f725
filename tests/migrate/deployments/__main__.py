"""Compares the inventory that the tool reads from each deployment with the expected one.

``python -m tests.migrate.deployments CACHE [--copies FOLDER] [NAME ...]``; exit code 1 if a line is
missing, invented, or in another group.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.migrate.capacity import capacity_now
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.findings import Target
from bridge.migrate.inventory import Inventory, Item, inventory_of
from bridge.migrate.project import Project, open_project
from tests.migrate.deployments.sources import Deployment, deployments, fetch

_GROUPS = {each.value.replace("-", " "): each for each in Group}
_COMMANDS = frozenset({"command", "background", "CMD", "ENTRYPOINT", "ExecStart"})


def main(arguments: Sequence[str]) -> int:
    """Print the differences, and the counts of each deployment."""
    parser = argparse.ArgumentParser(prog="python -m tests.migrate.deployments")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--copies", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args(arguments)
    differing = 0
    for deployment in deployments():
        if options.names and deployment.name not in options.names:
            continue
        root = fetch(deployment, options.cache, options.copies)
        project = open_project(root, target=Target.BRIDGE)
        inventory = inventory_of(project)
        found = list(differences(deployment, project, inventory))
        counts = ", ".join(f"{len(inventory.in_group(group))} {group.value}" for group in Group)
        print(f"{deployment.name}: {_lines(deployment)} lines expected; {counts}")
        for each in found:
            print(f"    {each}")
        differing += len(found)
    print(f"{differing} differences")
    return 1 if differing else 0


def _place(project: Project, server: Server) -> Iterator[str]:
    """Where a server is started, or configured."""
    if server.command is not None:
        yield f"{project.relative(server.command.path)}:{server.command.line}"
    elif server.config is not None:
        yield project.relative(server.config)


def _lines(deployment: Deployment) -> int:
    return sum(len(each["lines"]) for each in deployment.inventory.values())


def differences(deployment: Deployment, project: Project, inventory: Inventory) -> Iterator[str]:
    """What is missing, in another group, or invented; each as text."""
    used: set[int] = set()
    for file, expected in deployment.inventory.items():
        if expected["program"] in ("nginx", "apache"):
            continue  # they stay, and the plan does not list them
        for line, name, value, group, *condition in expected["lines"]:
            if name == "target":
                continue  # see _wrong_facts
            place = f"{file}:{line}: {name} = {value}"
            item = _matching(project, inventory, file, line, name, value, used)
            if item is None:
                yield f"missing: {place}"
                continue
            used.add(id(item))
            yield from _wrong(place, item, group, condition)
    for item in inventory.items:
        file = project.relative(item.option.path)
        if file in deployment.inventory:
            yield from _invented(project, item, is_expected=id(item) in used)
    yield from _wrong_facts(deployment, project, inventory)


def _matching(
    project: Project,
    inventory: Inventory,
    file: str,
    line: int,
    name: str,
    value: str,
    used: set[int],
) -> Item | None:
    """The item of a line.

    An item may have the values of several lines, as ``ports`` has; an option in a continued line of
    a script is in the line of its command.
    """
    found = [
        each
        for each in inventory.items
        if project.relative(each.option.path) == file and _is_named(each, name, value)
    ]
    here = [each for each in found if each.option.line == line]
    above = [each for each in found if line - 9 < each.option.line < line]
    lists = [each for each in above if value in str(each.option.default) or "$" in value]
    candidates = here or lists
    return next((each for each in candidates if id(each) not in used), None) or next(
        iter(candidates), None
    )


def _is_named(item: Item, name: str, value: str) -> bool:
    option = item.option
    if name in ("ENV", "environment", "env") and option.source == "environment":
        return option.name == value.partition("=")[0]
    if name == "before":
        return option.name in _COMMANDS and value in str(option.value)
    if name == "command" and option.name == item.option.source:
        return True  # a start command in a script
    return name in (option.name.rpartition("+")[2], option.shown.lstrip("-"))


def _wrong(place: str, item: Item, group: str, condition: list[str]) -> Iterator[str]:
    allowed = [_GROUPS[each] for each in group.split(" / ")]
    if item.row.group not in allowed:
        yield f"{item.row.group.value}, not {group}: {place}"
    for word in condition[0].split() if condition else ():
        if word not in item.option.condition:
            yield f"no condition {word}: {place} ({item.option.condition})"
    if not condition and item.option.condition and item.option.name != "volumes":
        yield f"condition {item.option.condition}: {place}"


def _invented(project: Project, item: Item, *, is_expected: bool) -> Iterator[str]:
    """An item that its line does not have, or an option of the server that is not expected.

    The expected inventories have the directives of the web process; what else stays in its file,
    such as the section of another process, is only counted.
    """
    option = item.option
    lines = option.path.read_text(encoding="utf-8").split("\n")
    text = "\n".join(lines[option.line - 1 : option.line + 12])
    written = option.name if option.source == "environment" else option.shown.lstrip("-")
    words = [written, *written.replace(".", " ").split(), *str(option.raw).split()]
    file = project.relative(option.path)
    place = f"{file}:{option.line}: {option.shown} = {option.default!r}"
    if not any(word in text for word in words):
        yield f"invented: {place}"
    is_option = item.row.key or item.row.group is not Group.CARRIED
    if is_option and not is_expected and option.applies is not False:
        yield f"{item.row.group.value}, not expected: {place}"


def _wrong_facts(deployment: Deployment, project: Project, inventory: Inventory) -> Iterator[str]:
    facts = deployment.facts
    server, capacity = inventory.served, capacity_now(project)
    if server is None or capacity is None:
        yield "no server was found"
        return
    for key, value in (("processes", capacity.processes), ("threads", capacity.threads)):
        expected = facts.get(key)
        if isinstance(expected, int) and value != expected:
            yield f"{key}: {expected} expected, {value!r} read"
        if isinstance(expected, str) and value is not None:
            yield f"{key}: {expected} expected, {value!r} read"
    started = {place for each in inventory.servers for place in _place(project, each)}
    expected_at = set(facts.get("started_at", ()))
    if missing := expected_at - started:
        yield f"start commands missing: {sorted(missing)}, found: {sorted(started)}"
    if more := started - expected_at - set(facts.get("not_started", ())):
        yield f"start commands not expected: {sorted(more)}"
    app = (server.app or "").removesuffix(":application")
    if app != facts["target"].removesuffix(":application"):
        yield f"target: {facts['target']} expected, {server.app} read"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
