"""All checks of a plugin's source, in one call: module level, functions, call graph, locals.

`check_source(source)` raises the first `PluginError`; what passes is deterministic and means the same in both tiers as
far as the text alone can show it. The compiler's gates (`compile_gates`) come after it.
"""

from __future__ import annotations

import ast

from statevec.engine.plugin.flow import BoundCheck, NumberCheck
from statevec.engine.plugin.grammar import MODULES, FunctionGrammar, import_reason
from statevec.engine.plugin.source import PluginSource

PLUGIN_NAMES = {
    *("Plugin", "Key", "Unique", "Index", "Ordered", "chars"),
    *("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool", "f64"),
}

ROOT_ARGUMENTS = {
    "on": "(tx, message)",
    "on_timer": "(tx, timer_id)",
    "invariant": "(tx, record), or (tx, table) with whole_table=True",
    "migrate": "(old, new)",
}


def check_source(source: PluginSource) -> None:
    """Refuse what could break determinism or the agreement of the tiers."""
    for index, statement in enumerate(source.tree.body):
        _module_statement(source, statement, index)
    for function in source.functions.values():
        _two_arguments(source, function)
        FunctionGrammar(source, function)
        BoundCheck(function, source.error)
        NumberCheck(function, source.error)
    _no_recursion(source)


def _module_statement(source: PluginSource, statement: ast.stmt, index: int) -> None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())) if index == 0:
            return
        case ast.Import():
            raise source.error(import_reason(statement.names[0].name), statement)
        case ast.ImportFrom():
            _module_import(source, statement)
        case ast.FunctionDef():
            _decorators(source, statement)
        case ast.ClassDef():
            _module_class(source, statement)
        case ast.Assign(targets=[ast.Name()], value=value):
            _module_value(source, value)
        case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
            _module_value(source, value)
        case _:
            raise source.error("the module level holds imports, constants, records and functions only", statement)


def _module_import(source: PluginSource, statement: ast.ImportFrom) -> None:
    module = statement.module or ""
    if statement.level or module not in MODULES:
        raise source.error(import_reason("." * statement.level + module), statement)
    for each in statement.names:
        if module == "statevec" and each.name not in PLUGIN_NAMES:
            raise source.error(f"{each.name!r} of statevec is not for plugins", statement)
        if module == "enum" and each.name != "IntEnum":
            raise source.error("of enum, a plugin takes IntEnum", statement)


def _decorators(source: PluginSource, function: ast.FunctionDef) -> None:
    if function.decorator_list and not source.root_decorator(function):
        raise source.error("decorators are those of the plugin: on, on_timer, invariant, migrate", function)
    if len(function.decorator_list) > 1:
        raise source.error("a function has one decorator", function)


def _two_arguments(source: PluginSource, function: ast.FunctionDef) -> None:
    wanted = ROOT_ARGUMENTS.get(source.root_decorator(function))
    if wanted is not None and len(function.args.posonlyargs + function.args.args) != 2:
        raise source.error(f"{function.name} takes two arguments: {wanted}", function)


def _module_class(source: PluginSource, statement: ast.ClassDef) -> None:
    bases = [each.id for each in statement.bases if isinstance(each, ast.Name)]
    is_enum = bases == ["IntEnum"] and not statement.decorator_list
    decorator = statement.decorator_list[0] if len(statement.decorator_list) == 1 else None
    is_record = (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "record"
        and not statement.bases
    )
    if not is_enum and not is_record:
        raise source.error("a class is a record (@plugin.record(capacity=…)) or an IntEnum", statement)
    for each in statement.body:
        match each:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                continue
            case ast.AnnAssign(target=ast.Name(), value=None) if is_record:
                continue
            case ast.Assign(targets=[ast.Name()], value=value) if is_enum:
                _module_value(source, value)
            case _:
                wanted = "`name: type` for each field" if is_record else "`NAME = number` for each member"
                raise source.error(f"this class holds {wanted}, and nothing else", each)


def _module_value(source: PluginSource, value: ast.expr) -> None:
    """A constant expression, or a declaration through the plugin."""
    for node in ast.walk(value):
        match node:
            case ast.Constant() | ast.Name() | ast.Attribute() | ast.Tuple() | ast.keyword() | ast.expr_context():
                continue
            case ast.BinOp() | ast.UnaryOp() | ast.operator() | ast.unaryop():
                continue
            case ast.Call(func=ast.Name(id="Plugin")):
                continue
            case ast.Call(func=ast.Attribute(attr="rejection" | "enum")):
                continue
            case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
                raise source.error("a global is a constant; what changes belongs into a record", node)
        raise source.error("a global is a constant expression: numbers, text, tuples, members of enums", node)


def _no_recursion(source: PluginSource) -> None:
    """A cycle among the functions would end the process when the stack ends."""
    calls = {
        name: [
            node.func.id
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in source.functions
        ]
        for name, function in source.functions.items()
    }
    finished: set[str] = set()

    def follow(name: str, path: list[str]) -> None:
        if name in path:
            cycle = " -> ".join([*path[path.index(name) :], name])
            raise source.error(f"recursion is not possible: {cycle}", source.functions[name])
        if name not in finished:
            for each in calls[name]:
                follow(each, [*path, name])
            finished.add(name)

    for name in calls:
        follow(name, [])
