"""The one rewrite of a plugin's source that both tiers run.

    a + b                          __add(a, b)                 likewise - * / // % ** << >> ~ unary - abs min max
    int(x) round(x) float(x)       __to_integer(x) …           range(n) -> __checked_range(0, n, 1)
    record.field = value           __store(record, "field", value)
    record.field += value          __store(record, "field", __add(record.field, value))
    table.where(field=value)       __where(table, "field", value), likewise unique, ascending, descending
    tx.emit.message(expires_ns=e)  __emit(tx, "message", e)
    loop: body                     loop: __tick(tx); body
    helper(a, c=3)                 helper(tx, a, 2, 3): keywords and defaults in their places, and the transaction
                                   where the helper has loops, itself or in what it calls
    a == b    a != b               __equal(a, b), __not_equal(a, b): either may be None
    a < b                          __less(a, b), in modules that use floats (an integer meeting a float becomes one)
    a in (b, c)                    __within(a, (b, c)), which compares as == does
    match a: case b: …             if __equal(a, b): …
    enumerate(rows, n)             enumerate(rows, __first_count(n))

Invariants
    Line numbers are those of the file. Each operand is evaluated once, in the same order in both tiers.
    Names that begin with two underscores are ours: `grammar` refuses them in a plugin.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from statevec.engine.plugin.grammar import ONE_KEYWORD
from statevec.engine.plugin.source import PluginSource

PREFIX = "__"
HIDDEN_TRANSACTION = "__transaction"
BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "true_divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "modulo",
    ast.Pow: "power",
    ast.LShift: "shift_left",
    ast.RShift: "shift_right",
}
UNARY: dict[type[ast.unaryop], str] = {ast.USub: "negate", ast.Invert: "invert"}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
CALLS = {"abs": "absolute", "int": "to_integer", "float": "to_float", "round": "to_nearest"}
EQUALITY = (ast.Eq, ast.NotEq)
CHOICES = {"min": "minimum", "max": "maximum"}


def uses_floats(source: PluginSource) -> bool:
    """Whether the text mentions floats at all; the schema's fields come on top.

    A constant that is a power may be one.
    """
    constants = [each for each in source.tree.body if not isinstance(each, ast.FunctionDef)]
    if any(isinstance(node, ast.Pow) for each in constants for node in ast.walk(each)):
        return True
    return any(
        isinstance(node, ast.Div)
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id in ("float", "f64"))
        for node in ast.walk(source.tree)
    )


def functions_with_loops(source: PluginSource) -> set[str]:
    """Functions that loop, or call one that does: they need the transaction, which holds the budget."""
    found = {
        name
        for name, function in source.functions.items()
        if any(isinstance(node, ast.For | ast.While) for node in ast.walk(function))
    }
    growing = True
    while growing:
        before = len(found)
        for name, function in source.functions.items():
            called = {node.func.id for node in ast.walk(function) if _calls_name(node)}  # type: ignore[attr-defined]
            if called & found:
                found.add(name)
        growing = len(found) > before
    return found


def _calls_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def emitted_messages(source: PluginSource) -> dict[str, int]:
    """Names under `tx.emit` that functions use, with the line of the first use."""
    found: dict[str, int] = {}
    for function in source.functions.values():
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Attribute) and owner.attr == "emit":
                    found.setdefault(node.func.attr, node.lineno)
    return found


def rewrite(source: PluginSource, floats: bool) -> ast.Module:
    """A rewritten copy of the module's tree; `floats` tells whether comparisons may meet them."""
    tree = copy.deepcopy(source.tree)
    looping = functions_with_loops(source)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            _FunctionRewrite(source, statement, looping, floats)
    return ast.fix_missing_locations(tree)


class _FunctionRewrite(ast.NodeTransformer):
    def __init__(self, source: PluginSource, function: ast.FunctionDef, looping: set[str], floats: bool) -> None:
        self._source = source
        self._looping = looping
        self._floats = floats
        self._temporaries = 0
        self._transaction = HIDDEN_TRANSACTION
        if source.root_decorator(function):
            self._transaction = function.args.args[0].arg
        elif function.name in looping:
            function.args.args.insert(0, ast.arg(HIDDEN_TRANSACTION))
        arguments = function.args
        function.args = ast.arguments(
            args=[*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs],
            posonlyargs=[],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        function.returns = None
        for argument in function.args.args:
            argument.annotation = None
        function.body = self._block(function.body)

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for each in statements:
            result = self.visit(each)
            made.extend(result if isinstance(result, list) else [result])
        return made

    def _call(self, name: str, node: ast.AST, *arguments: ast.expr) -> ast.Call:
        function = ast.copy_location(ast.Name(PREFIX + name, ast.Load()), node)
        return ast.copy_location(ast.Call(function, list(arguments), []), node)

    @staticmethod
    def _constant(value: Any, node: ast.AST) -> ast.Constant:
        return ast.copy_location(ast.Constant(value), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        name = BINARY.get(type(node.op))
        return node if name is None else self._call(name, node, node.left, node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = node.operand
        if isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant) and type(operand.value) in (int, float):
            return self._constant(-operand.value, node)  # type: ignore[operator]
        self.generic_visit(node)
        name = UNARY.get(type(node.op))
        return node if name is None else self._call(name, node, node.operand)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if type(node.value) is int and node.value == 1 << 63:
            raise self._source.error(f"{node.value} is outside signed 64 bits", node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn) and self._is_tuple(operands[1]):
            found = self._call("within", node, *operands)
            is_in = isinstance(node.ops[0], ast.In)
            return found if is_in else ast.copy_location(ast.UnaryOp(ast.Not(), found), node)
        single = len(node.ops) == 1 and isinstance(node.ops[0], EQUALITY)
        if not single and not (self._floats and any(type(each) in COMPARISONS for each in node.ops)):
            return node
        for middle in operands[1:-1]:
            if not isinstance(middle, ast.Name | ast.Constant):
                raise self._source.error("in a module with floats, the middle of a < b < c is a name", node)
        parts: list[ast.expr] = []
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            name = COMPARISONS.get(type(operator))
            if name is None:
                parts.append(ast.copy_location(ast.Compare(left, [operator], [right]), node))
            else:
                parts.append(self._call(name, node, left, right))
        return parts[0] if len(parts) == 1 else ast.copy_location(ast.BoolOp(ast.And(), parts), node)

    def _is_tuple(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Tuple) or (isinstance(node, ast.Name) and node.id in self._source.globals)

    def visit_Match(self, node: ast.Match) -> list[ast.stmt]:
        """A chain of ifs, whose comparisons are those of every other expression."""
        self._temporaries += 1
        name = f"{PREFIX}subject{self._temporaries}"
        subject = self.visit(node.subject)
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            body = self._block(case.body)
            test = self._pattern(case.pattern, name)
            guard = None if case.guard is None else self.visit(case.guard)
            if test is not None and guard is not None:
                test = ast.copy_location(ast.BoolOp(ast.And(), [test, guard]), case.pattern)
            test = test or guard
            chain = body if test is None else [ast.copy_location(ast.If(test, body, chain), case.pattern)]
        return [ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], subject), node), *chain]

    def _pattern(self, pattern: ast.pattern, subject: str) -> ast.expr | None:
        """The test that a case's pattern is; None for `_`."""
        value = ast.copy_location(ast.Name(subject, ast.Load()), pattern)
        match pattern:
            case ast.MatchValue(value=constant):
                return self._call("equal", pattern, value, self.visit(constant))
            case ast.MatchSingleton(value=None):
                return ast.copy_location(ast.Compare(value, [ast.Is()], [self._constant(None, pattern)]), pattern)
            case ast.MatchSingleton(value=constant):
                return self._call("equal", pattern, value, self._constant(constant, pattern))
            case ast.MatchOr(patterns=patterns):
                tests = [self._pattern(each, subject) for each in patterns]
                known = [each for each in tests if each is not None]
                return ast.copy_location(ast.BoolOp(ast.Or(), known), pattern) if len(known) == len(tests) else None
        return None

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name):
            return self._call_of_name(node, function.id)
        assert isinstance(function, ast.Attribute)
        if function.attr in ONE_KEYWORD:
            keyword = node.keywords[0]
            assert keyword.arg is not None
            return self._call(function.attr, node, function.value, self._constant(keyword.arg, node), keyword.value)
        if isinstance(function.value, ast.Attribute) and function.value.attr == "emit":
            expiry = [*node.args, *(each.value for each in node.keywords), self._constant(0, node)][0]
            return self._call("emit", node, function.value.value, self._constant(function.attr, node), expiry)
        return node

    def _call_of_helper(self, node: ast.Call, helper: ast.FunctionDef) -> ast.expr:
        """The call with every argument in its place: keywords and defaults (constants) are resolved here."""
        arguments = helper.args
        places = [*arguments.posonlyargs, *arguments.args]
        given: dict[str, ast.expr] = {}
        defaults = zip(reversed(places), reversed(arguments.defaults), strict=False)
        keyword_defaults = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        known = {place.arg: value for place, value in (*defaults, *keyword_defaults) if value is not None}
        if len(node.args) > len(places):
            raise self._source.error(f"{helper.name}() takes {len(places)} arguments, got {len(node.args)}", node)
        for place, value in zip(places, node.args, strict=False):
            given[place.arg] = value
        names = [each.arg for each in (*places, *arguments.kwonlyargs)]
        for keyword in node.keywords:
            assert keyword.arg is not None
            if keyword.arg not in names or keyword.arg in given:
                raise self._source.error(f"{helper.name}() has no place for {keyword.arg!r}", node)
            given[keyword.arg] = keyword.value
        missing = [name for name in names if name not in given and name not in known]
        if missing:
            raise self._source.error(f"{helper.name}() lacks {', '.join(missing)}", node)
        values = [given[name] if name in given else copy.deepcopy(known[name]) for name in names]
        if helper.name in self._looping and not self._source.root_decorator(helper):
            values.insert(0, ast.copy_location(ast.Name(self._transaction, ast.Load()), node))
        return ast.copy_location(ast.Call(node.func, values, []), node)

    def _call_of_name(self, node: ast.Call, name: str) -> ast.expr:
        if name in self._source.functions:
            return self._call_of_helper(node, self._source.functions[name])
        if name in self._source.globals:
            return node
        if name in CALLS:
            return self._call(CALLS[name], node, *node.args)
        if name in CHOICES:
            chosen = node.args[0]
            for each in node.args[1:]:
                chosen = self._call(CHOICES[name], node, chosen, each)
            return chosen
        if name == "range":
            bounds = [self._constant(0, node), *node.args] if len(node.args) == 1 else list(node.args)
            bounds += [self._constant(1, node)] * (3 - len(bounds))
            return self._call("checked_range", node, *bounds)
        if name == "enumerate" and len(node.args) == 2:
            node.args[1] = self._call("first_count", node, node.args[1])
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        target = node.targets[0]
        return self._store(target, node.value, node) if isinstance(target, ast.Attribute) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        self.generic_visit(node)
        assert node.value is not None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _store(self, target: ast.Attribute, value: ast.expr, node: ast.AST) -> ast.stmt:
        call = self._call("store", node, target.value, self._constant(target.attr, target), value)
        return ast.copy_location(ast.Expr(call), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        before: list[ast.stmt] = []
        target: ast.expr = node.target
        if isinstance(target, ast.Attribute):
            owner = target.value
            if not isinstance(owner, ast.Name):
                self._temporaries += 1
                name = f"{PREFIX}owner{self._temporaries}"
                before = [ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], owner), node)]
                owner = ast.copy_location(ast.Name(name, ast.Load()), node)
            target = ast.copy_location(ast.Attribute(owner, target.attr, ast.Store()), target)
        current = copy.copy(target)
        current.ctx = ast.Load()  # type: ignore[attr-defined]
        operation = BINARY.get(type(node.op))
        if operation is None:
            value: ast.expr = ast.copy_location(ast.BinOp(current, node.op, node.value), node)
        else:
            value = self._call(operation, node, current, node.value)
        if isinstance(target, ast.Attribute):
            return [*before, self._store(target, value, node)]
        return ast.copy_location(ast.Assign([target], value), node)

    def visit_For(self, node: ast.For) -> ast.stmt:
        node.iter = self.visit(node.iter)
        return self._loop(node)

    def visit_While(self, node: ast.While) -> ast.stmt:
        node.test = self.visit(node.test)
        return self._loop(node)

    def _loop(self, node: ast.For | ast.While) -> ast.stmt:
        transaction = ast.copy_location(ast.Name(self._transaction, ast.Load()), node)
        tick = ast.copy_location(ast.Expr(self._call("tick", node, transaction)), node)
        node.body = [tick, *self._block(node.body)]
        node.orelse = self._block(node.orelse)
        return node
