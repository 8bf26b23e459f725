"""Which changed sources are programs of their own, so that a test could notice the change."""

from __future__ import annotations

import ast
import warnings

__all__ = ["is_another_program"]


def is_another_program(source: str, changed: str) -> bool:
    """Whether ``changed`` compiles, and differs in more than what nothing evaluates."""
    try:
        with warnings.catch_warnings(action="error", category=SyntaxWarning):
            compile(changed, "changed", "exec")
    except SyntaxError:  # or such a warning, which pytest makes an error, too
        return False
    return _program(changed) != _program(source)


def _program(source: str) -> str:
    return ast.dump(_OnlyWhatRuns().visit(ast.parse(source)))


class _OnlyWhatRuns(ast.NodeTransformer):
    """Removes overloads, imports for type checkers, and annotations, which are never evaluated."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if any(
            isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list
        ):
            return None
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
        return self.generic_visit(node)
