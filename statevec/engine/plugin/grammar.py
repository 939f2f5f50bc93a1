"""The part of Python that a plugin may use: an allow-list of syntax and names, with a reason for each refusal.

What is not listed here is refused, so a construct of a future Python is refused until somebody thought about it. The
rule for the list: both tiers must do the same with it, on every machine, and end.

Nothing here keeps state; `check_grammar` raises the first `PluginError` it finds.
"""

from __future__ import annotations

import ast

from statevec.engine.plugin.arithmetic import MAXIMUM, MINIMUM
from statevec.engine.plugin.flow import local_names
from statevec.engine.plugin.source import PluginSource

MODULES = {"statevec", "enum", "typing", "__future__"}
BUILTINS = {"abs", "bool", "enumerate", "float", "int", "len", "max", "min", "range", "round", "zip"}
ERRORS = {"ValueError", "RuntimeError", "AssertionError", "ArithmeticError", "KeyError", "IndexError", "Exception"}
ONE_KEYWORD = {"where", "unique", "ascending", "descending"}

STATEMENTS = (
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.If, ast.For, ast.While, ast.Match),
    *(ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Raise, ast.Assert),
)
EXPRESSIONS = (
    *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Call, ast.Attribute, ast.Subscript),
    *(ast.Name, ast.Constant, ast.Tuple),
)
PARTS = (
    *(ast.keyword, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
    *(ast.match_case, ast.MatchValue, ast.MatchOr, ast.MatchAs, ast.MatchSingleton),
)

REFUSED_SYNTAX: dict[type[ast.AST], str] = {
    ast.Yield: "a handler runs to its end; it cannot yield",
    ast.YieldFrom: "a handler runs to its end; it cannot yield",
    ast.Await: "a handler runs to its end; it cannot await",
    ast.AsyncFunctionDef: "a handler runs to its end; it cannot be async",
    ast.Try: "a fault ends the transaction and cannot be caught: test before (`key in table`, `.get(key)`)",
    ast.With: "there is nothing to open or close in a handler",
    ast.Global: "a handler keeps nothing between calls; put it into a record",
    ast.Nonlocal: "a handler keeps nothing between calls; put it into a record",
    ast.ClassDef: "classes belong to the top level of the module",
    ast.FunctionDef: "functions belong to the top level of the module",
    ast.Lambda: "write a function at the top level of the module",
    ast.NamedExpr: "assign in a line of its own",
    ast.List: "a handler has no lists; use tables, or a tuple of constants",
    ast.ListComp: "a handler has no lists; loop over the rows",
    ast.GeneratorExp: "a handler has no generators; loop over the rows",
    ast.Set: "a set has no order; use a tuple",
    ast.SetComp: "a set has no order; loop over the rows",
    ast.Dict: "a handler has no dictionaries; use a table",
    ast.DictComp: "a handler has no dictionaries; use a table",
    ast.JoinedStr: "a handler makes no text; use a rejection code",
    ast.Starred: "name each value",
    ast.Delete: "use tx.TABLE.delete(key)",
    ast.Import: "imports stand at the top of the module",
    ast.ImportFrom: "imports stand at the top of the module",
    ast.MatMult: "matrices are not part of a handler",
    ast.Slice: "a handler slices nothing",
    ast.UAdd: "leave the plus sign away",
}
REFUSED_NAMES = {
    "print": "output leaves a handler through tx.emit only",
    "open": "a handler reads and writes nothing but its tables",
    "input": "a handler reads nothing but its message and its tables",
    "hash": "its value differs from process to process",
    "id": "an address differs from process to process; tx.next_id() makes ids",
    "set": "a set has no order; use a tuple",
    "frozenset": "a set has no order; use a tuple",
    "list": "a handler has no lists; use tables",
    "dict": "a handler has no dictionaries; use a table",
    "sorted": "declare an Ordered index and use .ascending()",
    "sum": "add in a loop",
    "any": "use a loop",
    "all": "use a loop",
    "pow": "use the operator **",
    "divmod": "use // and %",
    "str": "a handler makes no text",
    "eval": "code is what the file says",
    "exec": "code is what the file says",
    "isinstance": "types are known: a field has the type of its declaration",
    "getattr": "name the field",
    "setattr": "name the field",
}
REFUSED_MODULES = {
    **dict.fromkeys(("time", "datetime"), "a clock differs from run to run; use tx.now_ns"),
    **dict.fromkeys(("random", "secrets", "uuid"), "randomness differs from run to run; tx.next_id() makes ids"),
    **dict.fromkeys(("os", "io", "sys", "socket", "pathlib", "subprocess"), "a handler does no input or output"),
    **dict.fromkeys(("threading", "asyncio", "multiprocessing", "concurrent"), "a handler is one thread"),
    **dict.fromkeys(
        ("math", "cmath", "numpy"), "its functions differ from machine to machine; use + - * / and integers"
    ),
}


def import_reason(module: str) -> str:
    """Why a module cannot be imported, in plain words."""
    reason = REFUSED_MODULES.get(module.split(".")[0], "a plugin imports from statevec, enum and typing only")
    return f"{module!r} cannot be imported: {reason}"


class FunctionGrammar(ast.NodeVisitor):
    """Checks one function's body."""

    def __init__(self, source: PluginSource, function: ast.FunctionDef) -> None:
        self._source = source
        self._function = function
        self._locals = local_names(function)
        self._is_root = bool(source.root_decorator(function))
        self._known = self._locals | set(source.globals) | BUILTINS
        self._arguments(function)
        for statement in function.body:
            self.visit(statement)

    def _error(self, text: str, node: ast.AST) -> Exception:
        return self._source.error(text, node if hasattr(node, "lineno") else self._function)

    def _arguments(self, function: ast.FunctionDef) -> None:
        arguments = function.args
        if arguments.vararg or arguments.kwarg:
            raise self._error("name each argument", function)
        for default in (*arguments.defaults, *(each for each in arguments.kw_defaults if each)):
            if not isinstance(default, ast.Constant | ast.Name | ast.Attribute | ast.UnaryOp):
                raise self._error("a default is a constant: it is made once and shared by all calls", default)
        if self._is_root and (not arguments.args or arguments.defaults or arguments.kwonlyargs):
            raise self._error(
                "the engine calls this function with positional arguments, the transaction first", function
            )
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        for name in (*names, *sorted(self._locals), function.name):
            if name.startswith("__"):
                raise self._error(f"{name!r}: names that begin with two underscores belong to the engine", function)

    def generic_visit(self, node: ast.AST) -> None:
        for kind, reason in REFUSED_SYNTAX.items():
            if isinstance(node, kind):
                raise self._error(reason, node)
        if not isinstance(node, STATEMENTS + EXPRESSIONS + PARTS):
            raise self._error(f"{type(node).__name__} is not part of what a plugin may use", node)
        super().generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, int) and not MINIMUM <= value <= MAXIMUM + 1:
            raise self._error(f"{value} is outside signed 64 bits", node)
        if isinstance(value, str):
            raise self._error(f"text is bytes: b{value!r}; a member of an enum has no quotes", node)
        if value is Ellipsis or isinstance(value, complex):
            raise self._error("this constant has no use in a handler", node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        name = node.id
        if isinstance(node.ctx, ast.Store):
            if self._is_root and name == self._function.args.args[0].arg:
                raise self._error(f"{name!r} is the transaction and stays it", node)
            return
        if name == self._source.plugin_name:
            raise self._error("the plugin object is for declarations, not for handlers", node)
        if name not in self._known:
            reason = REFUSED_NAMES.get(name)
            raise self._error(f"{name!r}: {reason}" if reason else f"unknown name {name!r}", node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr.startswith("_"):
            raise self._error(f"{node.attr!r}: names that begin with an underscore are not for plugins", node)
        if isinstance(node.ctx, ast.Del):
            raise self._error(REFUSED_SYNTAX[ast.Delete], node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._target(target, several=len(node.targets) > 1)
        self.generic_visit(node)

    def _target(self, target: ast.expr, several: bool = False) -> None:
        if isinstance(target, ast.Tuple):
            for each in target.elts:
                self._target(each, several=True)
        elif isinstance(target, ast.Subscript):
            raise self._error(
                "a record is not assigned as a whole; use .insert(key) or .edit(key), then its fields", target
            )
        elif several and not isinstance(target, ast.Name):
            raise self._error("assign a field in a line of its own", target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._target(node.target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name) or node.value is None:
            raise self._error("annotate a local together with its value", node)
        self.visit(node.target)
        self.visit(node.value)

    def visit_For(self, node: ast.For) -> None:
        self._target(node.target, several=True)
        if isinstance(node.iter, ast.Name) and node.iter.id in self._source.classes:
            raise self._error("an enum cannot be looped over; use a tuple of its members", node.iter)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Call | ast.Constant):
            reason = next((text for kind, text in REFUSED_SYNTAX.items() if isinstance(node.value, kind)), "")
            raise self._error(reason or "this line computes something and drops it", node)
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            if isinstance(operator, ast.Is | ast.IsNot):
                other = operands[index + 1]
                if not (isinstance(other, ast.Constant) and other.value is None):
                    raise self._error("`is` compares with None only; use ==", node)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name is not None:
            raise self._error("a case names constants; assign in a line of its own", node)

    def visit_Raise(self, node: ast.Raise) -> None:
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        arguments = node.exc.args if isinstance(node.exc, ast.Call) else []
        known = isinstance(error, ast.Name) and error.id in ERRORS
        if not known or node.cause or not all(isinstance(each, ast.Constant) for each in arguments):
            raise self._error('raise a built-in error with constant text: raise ValueError("text")', node)

    def visit_Assert(self, node: ast.Assert) -> None:
        if node.msg is not None and not isinstance(node.msg, ast.Constant):
            raise self._error("the text of an assertion is a constant", node)
        self.visit(node.test)

    def visit_Call(self, node: ast.Call) -> None:
        if any(each.arg is None for each in node.keywords):
            raise self._error("name each argument", node)
        if isinstance(node.func, ast.Name):
            self._call_of_name(node, node.func.id)
        elif isinstance(node.func, ast.Attribute):
            self._call_of_method(node, node.func)
        else:
            raise self._error("call a function by its name", node)
        self.generic_visit(node)

    def _call_of_name(self, node: ast.Call, name: str) -> None:
        if name in self._locals:
            raise self._error(f"{name!r} is a local and cannot be called", node)
        if name in BUILTINS:
            if node.keywords:
                raise self._error(f"{name}() takes its arguments by position here", node)
            counts = {"min": (2, 64), "max": (2, 64), "range": (1, 3), "zip": (2, 8), "enumerate": (1, 2)}
            low, high = counts.get(name, (1, 1))
            if not low <= len(node.args) <= high:
                raise self._error(f"{name}() takes {low} to {high} arguments here, got {len(node.args)}", node)
        elif name in self._source.globals and name not in self._source.functions:
            raise self._error(f"{name!r} cannot be called: only functions can", node)

    def _call_of_method(self, node: ast.Call, function: ast.Attribute) -> None:
        if function.attr in ONE_KEYWORD and (node.args or len(node.keywords) != 1):
            raise self._error(f".{function.attr} takes one field: .{function.attr}(field=value)", node)
        if isinstance(function.value, ast.Attribute) and function.value.attr == "emit":
            names = [each.arg for each in node.keywords]
            if len(node.args) + len(names) > 1 or names not in ([], ["expires_ns"]):
                raise self._error("an output takes expires_ns only; assign its fields afterwards", node)
