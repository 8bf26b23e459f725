"""The configuration file of gunicorn, which is Python: parsed with LibCST, never run.

Input: a path and the environment of the deployment. Output: the settings that it assigns, its
hooks, and what it does besides. ``os.environ.get("WORKERS", 4)`` has the value 4 by default, and
depends on the variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst

from bridge.migrate.deploy.records import Option, ServerConfig
from bridge.migrate.literals import UNKNOWN, evaluate
from bridge.migrate.module import Module
from bridge.migrate.text import CannotRead

__all__ = ["gunicorn_config_in"]

_READS = ("os.environ.get", "os.getenv", "environ.get", "getenv")
_CONVERTS = {"int": int, "float": float, "str": str}


def gunicorn_config_in(
    path: Path, environment: Mapping[str, Any] | None = None
) -> Iterator[ServerConfig]:
    """The configuration in a file whose name says that it is one of gunicorn."""
    if path.suffix == ".py" and "gunicorn" in path.name:
        reader = _Reader(Module(path, ""), environment or {})
        try:
            options = tuple(reader.options())
        except CannotRead:
            options = ()  # the report names it: see Module.failure
        yield ServerConfig(path, "gunicorn", options)


@dataclass(frozen=True)
class _Value:
    """A value as the file has it, in the default case, and what it depends on."""

    written: Any
    default: Any
    condition: str = ""


class _Reader:
    def __init__(self, module: Module, environment: Mapping[str, Any]) -> None:
        self._module = module
        self._environment = environment
        self._written: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        self._conditions: dict[str, str] = {}

    def options(self) -> Iterator[Option]:
        yield from self._block(self._module.tree.body, "", True)

    def _block(self, body: Any, condition: str, applies: bool | None) -> Iterator[Option]:
        for statement in body:
            if isinstance(statement, cst.SimpleStatementLine):
                for small in statement.body:
                    yield from self._small(small, condition, applies)
            elif isinstance(statement, cst.FunctionDef):
                name = statement.name.value
                yield self._made(statement, name, _Value(True, True), condition, applies)
            elif isinstance(statement, cst.If):
                yield from self._if(statement, condition, applies)
            elif isinstance(statement, cst.For | cst.While | cst.With | cst.Try):
                first = self._module.source(statement).strip().partition("\n")[0]
                inner = condition if isinstance(statement, cst.Try | cst.With) else first
                yield from self._block(statement.body.body, inner, applies)

    def _if(self, node: cst.If, condition: str, applies: bool | None) -> Iterator[Option]:
        test = self._module.source(node.test)
        value = self._value(node.test)
        holds = None if value.default is UNKNOWN else bool(value.default)
        own = " and ".join(filter(None, (condition, f"if {test}")))
        yield from self._block(node.body.body, own, _both(applies, holds))
        other = " and ".join(filter(None, (condition, f"not {test}")))
        opposite = None if holds is None else not holds
        if isinstance(node.orelse, cst.Else):
            yield from self._block(node.orelse.body.body, other, _both(applies, opposite))
        elif node.orelse is not None:
            yield from self._if(node.orelse, other, _both(applies, opposite))

    def _small(
        self, node: cst.BaseSmallStatement, condition: str, applies: bool | None
    ) -> Iterator[Option]:
        match node:
            case cst.Assign(targets=targets, value=expression):
                for target in targets:
                    yield from self._assigned(node, target.target, expression, condition, applies)
            case cst.AnnAssign(target=target, value=cst.BaseExpression() as expression):
                yield from self._assigned(node, target, expression, condition, applies)
            case cst.Expr(value=cst.Call()):
                value = _Value(self._module.source(node), self._module.source(node))
                yield self._made(node, "code", value, condition, applies)
            case _:
                pass

    def _assigned(
        self,
        node: cst.CSTNode,
        target: cst.BaseExpression,
        expression: cst.BaseExpression,
        condition: str,
        applies: bool | None,
    ) -> Iterator[Option]:
        value = self._value(expression)
        if isinstance(target, cst.Name):
            if applies is not False or target.value not in self._written:
                self._written[target.value] = value.written
                self._defaults[target.value] = value.default
                self._conditions[target.value] = value.condition
            yield self._made(node, target.value, value, condition, applies)
        elif self._module.source(target).startswith("os.environ["):
            source = self._module.source(node)
            yield self._made(node, "code", _Value(source, source), condition, applies)

    def _made(
        self, node: cst.CSTNode, name: str, value: _Value, condition: str, applies: bool | None
    ) -> Option:
        line, _ = self._module.position(node)
        raw = self._module.source(node.value) if isinstance(node, cst.Assign) else ""
        return Option(
            name,
            name,
            value.written,
            self._module.path,
            line,
            source="gunicorn",
            default=None if value.default is UNKNOWN else value.default,
            raw=raw.strip(),
            condition=" and ".join(filter(None, (condition, value.condition))),
            applies=applies,
        )

    # -- values ------------------------------------------------------------------------------------

    def _value(self, node: cst.BaseExpression) -> _Value:
        written = evaluate(node, self._written)
        if written is not UNKNOWN and not isinstance(written, list):
            return _Value(written, written)
        default, conditions = self._default(node)
        if isinstance(written, list) and UNKNOWN not in written:
            default = written
        return _Value(written, default, ", ".join(dict.fromkeys(conditions)))

    def _default(self, node: cst.BaseExpression) -> tuple[Any, list[str]]:
        """The value in the default case, and the variables of the environment that it reads."""
        if isinstance(node, cst.Call):
            return self._called(node)
        if isinstance(node, cst.Name) and node.value in self._defaults:
            condition = self._conditions[node.value]
            return self._defaults[node.value], [condition] if condition else []
        if isinstance(node, cst.BooleanOperation):
            left, conditions = self._default(node.left)
            right, more = self._default(node.right)
            if left is UNKNOWN:
                return UNKNOWN, [*conditions, *more]
            is_or = isinstance(node.operator, cst.Or)
            return (left or right) if is_or else (left and right), [*conditions, *more]
        if isinstance(node, cst.FormattedString):
            return self._formatted(node)
        if isinstance(node, cst.BinaryOperation):
            return self._combined(node)
        if isinstance(node, cst.Comparison) and len(node.comparisons) == 1:
            return self._compared(node)
        if isinstance(node, cst.List | cst.Tuple):
            found = [self._default(each.value) for each in node.elements]
            return [value for value, _ in found], [each for _, more in found for each in more]
        if self._module.source(node).startswith("os.environ["):
            return self._read(self._module.source(node)[11:-1].strip("\"'"), UNKNOWN)
        return evaluate(node, self._defaults), []

    def _called(self, node: cst.Call) -> tuple[Any, list[str]]:
        function = self._module.source(node.func)
        if function in _READS and node.args:
            name = evaluate(node.args[0].value)
            default = self._default(node.args[1].value)[0] if len(node.args) > 1 else None
            return self._read(str(name), default)
        if function in _CONVERTS and len(node.args) == 1:
            value, conditions = self._default(node.args[0].value)
            try:
                return (UNKNOWN if value is UNKNOWN else _CONVERTS[function](value)), conditions
            except (TypeError, ValueError):
                return UNKNOWN, conditions
        match node.func:
            case cst.Attribute(
                value=inner, attr=cst.Name(value="lower" | "upper" | "strip" as name)
            ):
                value, conditions = self._default(inner)
                return (getattr(value, name)() if isinstance(value, str) else UNKNOWN), conditions
            case cst.Attribute(value=inner, attr=cst.Name(value="format")):
                return self._filled(inner, [each.value for each in node.args])
        return UNKNOWN, []

    def _filled(
        self, template: cst.BaseExpression, arguments: list[cst.BaseExpression]
    ) -> tuple[Any, list[str]]:
        """``"[::]:{}".format(port)``; UNKNOWN with any other field than ``{}``."""
        text, conditions = self._default(template)
        values = [self._default(each) for each in arguments]
        conditions = [*conditions, *(each for _, more in values for each in more)]
        pieces = text.split("{}") if isinstance(text, str) else []
        known = [str(value) for value, _ in values if value is not UNKNOWN]
        if len(pieces) != len(known) + 1 or len(known) != len(values):
            return UNKNOWN, conditions
        filled = "".join(
            f"{piece}{value}" for piece, value in zip(pieces, [*known, ""], strict=True)
        )
        return (UNKNOWN if "{" in "".join(pieces) else filled), conditions

    def _read(self, name: str, default: Any) -> tuple[Any, list[str]]:
        value = self._environment.get(name, default)
        if name in self._environment and value is None:
            value = UNKNOWN
        shown = "" if default is None or default is UNKNOWN else f":-{default}"
        return value, [f"${{{name}{shown}}}"]

    def _formatted(self, node: cst.FormattedString) -> tuple[Any, list[str]]:
        text, conditions = "", list[str]()
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                text += part.value
                continue
            if not isinstance(part, cst.FormattedStringExpression):
                return UNKNOWN, conditions
            value, more = self._default(part.expression)
            conditions += more
            if value is UNKNOWN:
                return UNKNOWN, conditions
            text += str(value)
        return text, conditions

    def _combined(self, node: cst.BinaryOperation) -> tuple[Any, list[str]]:
        left, conditions = self._default(node.left)
        right, more = self._default(node.right)
        if isinstance(node.operator, cst.Modulo) and isinstance(left, str):
            is_plain = right is not UNKNOWN and left.count("%") == 1 and "%s" in left
            return (left.replace("%s", str(right)) if is_plain else UNKNOWN), [*conditions, *more]
        known = {"left": left, "right": right}
        plain = node.with_changes(left=cst.Name("left"), right=cst.Name("right"))
        return evaluate(plain, known), [*conditions, *more]

    def _compared(self, node: cst.Comparison) -> tuple[Any, list[str]]:
        left, conditions = self._default(node.left)
        right, more = self._default(node.comparisons[0].comparator)
        operator = node.comparisons[0].operator
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN, [*conditions, *more]
        if isinstance(operator, cst.Equal | cst.Is):
            return left == right, [*conditions, *more]
        if isinstance(operator, cst.NotEqual | cst.IsNot):
            return left != right, [*conditions, *more]
        if isinstance(operator, cst.In) and isinstance(right, list | str):
            return left in right, [*conditions, *more]
        return UNKNOWN, [*conditions, *more]


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
