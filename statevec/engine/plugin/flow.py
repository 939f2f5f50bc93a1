"""Which locals are bound, and which are integers or floats, on every path through a function.

Machine code reads an arbitrary value from a local that no path bound, and turns an integer local into a float when
another path stores one; Python does neither. So both are refused here, before either tier sees the function.

Invariant: what passes may be too strict (a loop's body counts as perhaps never run), never too lax.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

Report = Callable[[str, ast.AST], Exception]


def local_names(function: ast.FunctionDef) -> set[str]:
    """Arguments and all names that the function assigns."""
    arguments = function.args
    names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


class BoundCheck:
    """Definite assignment: walks statements with the set of names that are bound, None where nothing goes on."""

    def __init__(self, function: ast.FunctionDef, report: Report) -> None:
        arguments = function.args
        self._locals = local_names(function)
        self._report = report
        self._breaks: list[list[set[str]]] = []
        start = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        self._block(function.body, start)

    def _expression(self, node: ast.AST | None, bound: set[str]) -> None:
        if node is None:
            return
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in self._locals - bound:
                raise self._report(f"{each.id!r} may be unbound here: bind it on every path before", each)

    def _targets(self, nodes: list[ast.expr], bound: set[str]) -> set[str]:
        made = set(bound)
        for node in nodes:
            for each in ast.walk(node):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    made.add(each.id)
            self._expression(node, bound)
        return made

    def _block(self, statements: list[ast.stmt], bound: set[str] | None) -> set[str] | None:
        for statement in statements:
            if bound is None:
                raise self._report("this line is never reached", statement)
            bound = self._statement(statement, bound)
        return bound

    @staticmethod
    def _joined(states: list[set[str] | None]) -> set[str] | None:
        going_on = [each for each in states if each is not None]
        return set.intersection(*going_on) if going_on else None

    def _statement(self, node: ast.stmt, bound: set[str]) -> set[str] | None:
        match node:
            case ast.Assign():
                self._expression(node.value, bound)
                return self._targets(node.targets, bound)
            case ast.AnnAssign():
                self._expression(node.value, bound)
                return self._targets([node.target], bound) if node.value is not None else bound
            case ast.AugAssign():
                self._expression(node.value, bound)
                if isinstance(node.target, ast.Name):
                    self._expression(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target), bound)
                self._expression(node.target, bound)
                return bound
            case ast.If():
                self._expression(node.test, bound)
                return self._joined([self._block(node.body, set(bound)), self._block(node.orelse, set(bound))])
            case ast.For() | ast.While():
                return self._loop(node, bound)
            case ast.Match():
                return self._match(node, bound)
            case ast.Return() | ast.Raise():
                for child in ast.iter_child_nodes(node):
                    self._expression(child, bound)
                return None
            case ast.Break():
                self._breaks[-1].append(bound)
                return None
            case ast.Continue():
                return None
        self._expression(node, bound)
        return bound

    def _loop(self, node: ast.For | ast.While, bound: set[str]) -> set[str] | None:
        self._breaks.append([])
        if isinstance(node, ast.For):
            self._expression(node.iter, bound)
            self._block(node.body, self._targets([node.target], bound))
            ends = True
        else:
            self._expression(node.test, bound)
            self._block(node.body, set(bound))
            ends = not (isinstance(node.test, ast.Constant) and bool(node.test.value))
        after = self._block(node.orelse, set(bound) if ends else None) if node.orelse else (bound if ends else None)
        return self._joined([after, *self._breaks.pop()])

    def _match(self, node: ast.Match, bound: set[str]) -> set[str] | None:
        self._expression(node.subject, bound)
        states: list[set[str] | None] = []
        complete = False
        for case in node.cases:
            self._expression(case.pattern, bound)
            self._expression(case.guard, bound)
            states.append(self._block(case.body, set(bound)))
            complete = complete or (case.guard is None and isinstance(case.pattern, ast.MatchAs))
        return self._joined(states if complete else [*states, bound])


class NumberCheck:
    """Refuses a local, or an if-expression, that is an integer here and a float there, as far as the text shows it.

    What the text does not show (fields, results of helpers) the compiler's check of typed code finds.
    """

    def __init__(self, function: ast.FunctionDef, report: Report) -> None:
        self._report = report
        self._kinds: dict[str, str] = {}
        for _ in range(3):  # a local's kind may depend on locals bound further down in a loop
            for node in ast.walk(function):
                self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, self._kind(node.value), node)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._bind(node.target, self._kind(node.value), node)
        elif isinstance(node, ast.AugAssign):
            operation = ast.BinOp(ast.Name(getattr(node.target, "id", ""), ast.Load()), node.op, node.value)
            self._bind(node.target, self._kind(operation), node)
        elif isinstance(node, ast.IfExp):
            self._kind(node)

    def _bind(self, target: ast.expr, kind: str, node: ast.AST) -> None:
        if not isinstance(target, ast.Name) or not kind:
            return
        if self._kinds.setdefault(target.id, kind) != kind:
            raise self._report(f"{target.id!r} is an integer on one path and a float on another", node)

    def _kind(self, node: ast.expr) -> str:
        """`int`, `float`, or nothing where the text does not show it."""
        match node:
            case ast.Constant(value=value):
                return {int: "int", bool: "int", float: "float"}.get(type(value), "")
            case ast.Name():
                return self._kinds.get(node.id, "")
            case ast.UnaryOp():
                return "int" if isinstance(node.op, ast.Not) else self._kind(node.operand)
            case ast.Compare():
                return "int"
            case ast.BinOp():
                return "float" if isinstance(node.op, ast.Div) else self._mixed(node.left, node.right)
            case ast.Call(func=ast.Name(id="float")):
                return "float"
            case ast.Call(func=ast.Name(id="int" | "round" | "len")):
                return "int"
            case ast.Call(func=ast.Name(id="min" | "max" | "abs")):
                return self._mixed(*node.args)
            case ast.IfExp():
                kinds = {self._kind(node.body), self._kind(node.orelse)}
                if kinds == {"int", "float"}:
                    raise self._report("one branch gives an integer, the other a float", node)
                return kinds.pop() if len(kinds) == 1 else ""
        return ""

    def _mixed(self, *nodes: ast.expr) -> str:
        kinds = {self._kind(each) for each in nodes}
        if "float" in kinds:
            return "float"
        return "int" if kinds == {"int"} else ""
