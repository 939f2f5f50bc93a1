"""`load_plugin`: from a directory to a checked plugin that either tier can run.

Read the files and hash them; check the source; rewrite it; execute the rewritten module under a name of its own; check
what it declared. Compiling happens when `dispatch("compiled")` asks for it, from the cache where it can.

Invariants
    The module's name in `sys.modules` holds the content hash: versions of a plugin live side by side. (Code under a
    name that is not there compiles and then fails when it runs.)
    What is executed, and the schema, are the bytes that were hashed: no file is read a second time.
    Both tiers run the same rewritten code; line numbers are those of the file.

Nothing is written to the plugin's directory; a crash leaves at most a temporary file of the compiler's cache.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from statevec.codecs.errors import SbeError
from statevec.codecs.layout import MessageLayout
from statevec.codecs.schema import Schema
from statevec.engine.engine_state import ENGINE_TABLES, FIRST_PLUGIN_TABLE
from statevec.engine.plugin.arithmetic import MAXIMUM, MINIMUM
from statevec.engine.plugin.checks import check_source
from statevec.engine.plugin.declare import READ_PLUGIN_FILE, VERSION, Declarations, Plugin, snake_case
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.flow import local_names
from statevec.engine.plugin.interpreted_dispatch import InterpretedDispatch
from statevec.engine.plugin.interpreted_names import NAMES
from statevec.engine.plugin.output_parts import output_level
from statevec.engine.plugin.rewrite import emitted_messages, functions_with_loops, rewrite, uses_floats
from statevec.engine.plugin.source import PluginSource, read_source
from statevec.state.arena import ArenaLayout, lay_out_table
from statevec.state.records import SpecificationError, TableSpec

Tier = Literal["compiled", "interpreted"]


class Dispatch(Protocol):
    """A plugin's C function; the object keeps alive what the function needs."""

    @property
    def address(self) -> int: ...


@dataclass
class LoadedPlugin:
    """A checked plugin. `table_specs` are its tables, in the order of their numbers from FIRST_PLUGIN_TABLE on."""

    source: PluginSource
    module: types.ModuleType
    plugin: Plugin
    table_specs: list[TableSpec] = field(default_factory=list)
    outputs_by_attribute: dict[str, MessageLayout] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.plugin.name

    @property
    def version(self) -> str:
        return self.plugin.version

    @property
    def path(self) -> Path:
        """The plugin's module."""
        return self.source.path

    @property
    def content_hash(self) -> str:
        """Hash (hex) of all files of the plugin: the identity of the logic version."""
        return self.source.content_hash

    @property
    def schema(self) -> Schema:
        return self.plugin.schema

    @property
    def declarations(self) -> Declarations:
        return self.plugin.declarations

    @property
    def rejections(self) -> dict[int, str]:
        """Text by rejection code."""
        return {code: each.text for code, each in self.declarations.rejections.items()}

    @property
    def invariants(self) -> list[str]:
        """Names of invariants by their number."""
        return [each.name for each in self.declarations.invariants]

    @property
    def outputs(self) -> dict[int, MessageLayout]:
        """Layouts of the messages that handlers emit, by template id."""
        return {each.id: each for each in self.outputs_by_attribute.values()}

    def table_number(self, record: str) -> int:
        """Number of a record's table in the arena."""
        return FIRST_PLUGIN_TABLE + list(self.declarations.records).index(record)

    def dispatch(self, tier: Tier = "compiled") -> Dispatch:
        """The plugin's C function `int64 (transaction, message, length)` in one tier."""
        if tier == "interpreted":
            return InterpretedDispatch(self)
        if tier != "compiled":
            raise PluginError(f'there is no tier {tier!r}: "compiled" or "interpreted"')
        from statevec.engine.plugin.native_dispatch import compile_dispatch  # the interpreted tier needs no compiler

        return compile_dispatch(self)


def load_plugin(directory: Path | str, files: dict[str, bytes] | None = None) -> LoadedPlugin:
    """Check and load the plugin in `directory`; PluginError says what is wrong with it, with file and line.

    `files` are the plugin's files when the caller has read them: then the directory is not read again.
    """
    source = read_source(Path(directory).resolve(), files)
    check_source(source)
    floats = uses_floats(source) or _schema_has_floats(source)
    module = _execute(source, floats)
    plugin = getattr(module, source.plugin_name)
    loaded = LoadedPlugin(source, module, plugin)
    _check_globals(source, module)
    loaded.table_specs = [each.table_spec() for each in plugin.declarations.records.values()]
    _check_capacities(loaded)
    _check_constants(source, module)
    _check_migrations(loaded)
    _check_outputs(loaded)
    return loaded


def _schema_has_floats(source: PluginSource) -> bool:
    """Whether any XML of the plugin names a float; saying yes too often costs interpreted time only."""
    schemas = [content for name, content in source.files.items() if name.endswith(".xml")]
    return any(b"float" in content or b"double" in content for content in schemas)


def _execute(source: PluginSource, floats: bool) -> types.ModuleType:
    """The rewritten module, executed under its hashed name."""
    tree = rewrite(source, floats)
    code = compile(tree, str(source.path), "exec", dont_inherit=True)
    name = f"statevec_plugin_{source.path.stem}_{source.content_hash[:16]}"
    module = types.ModuleType(name, None)
    module.__file__ = str(source.path)
    vars(module).update(NAMES)
    vars(module)[READ_PLUGIN_FILE] = source.read
    sys.modules[name] = module
    try:
        exec(code, vars(module))
    except (PluginError, SbeError, SpecificationError, TypeError, ValueError, NameError, AttributeError) as error:
        line = error.line if isinstance(error, PluginError) else 0
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(source.path):
                line = trace.tb_lineno
            trace = trace.tb_next
        raise source.error(error.text if isinstance(error, PluginError) else str(error), line) from error
    return module


def _check_globals(source: PluginSource, module: types.ModuleType) -> None:
    """Constants are frozen into compiled code, so they must be what cannot change."""
    for name, line in source.globals.items():
        value = getattr(module, name)
        if name not in source.functions and name not in source.classes and not _is_constant(value):
            if isinstance(value, Plugin) or getattr(value, "__module__", "").startswith(("statevec", "typing")):
                continue
            raise source.error(f"{name!r} is no constant that a handler can use: {value!r}", line)


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(each) for each in value)
    if isinstance(value, int):
        return MINIMUM <= value <= MAXIMUM
    if isinstance(value, type):
        return issubclass(value, IntEnum | int | float | bool)
    return value is None or isinstance(value, float | str | bytes)


def _check_constants(source: PluginSource, module: types.ModuleType) -> None:
    """Members of enums that functions name must be there, and no constant that they name is a `str`."""
    values = {name: getattr(module, name) for name in source.globals}
    enums = {
        name: value
        for name, value in values.items()
        if isinstance(value, type) and issubclass(value, IntEnum) and value is not IntEnum
    }
    for function in source.functions.values():
        own = local_names(function)
        for node in (each for statement in function.body for each in ast.walk(statement)):
            if isinstance(node, ast.Name) and node.id not in own and isinstance(values.get(node.id), str):
                raise source.error(f"text is bytes: {node.id} = b{values[node.id]!r}", node)
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            name = node.value.id
            if name in enums.keys() - own and node.attr not in enums[name].__members__:
                members = ", ".join(enums[name].__members__)
                raise source.error(f"{name} has no member {node.attr!r} (members: {members})", node)


def _check_capacities(loaded: LoadedPlugin) -> None:
    """All tables together must fit into an arena."""
    try:
        ArenaLayout([*ENGINE_TABLES, *loaded.table_specs])
    except SpecificationError as error:
        sizes = [lay_out_table(spec, 0, 0).end for spec in loaded.table_specs]
        largest = sizes.index(max(sizes))
        spec = loaded.table_specs[largest]
        node = loaded.source.classes[list(loaded.declarations.records)[largest]]
        text = f"{error}; the largest table is {spec.name}: capacity={spec.capacity} size={sizes[largest]}"
        raise loaded.source.error(text, node) from error


def _check_migrations(loaded: LoadedPlugin) -> None:
    declared = loaded.declarations
    looping = functions_with_loops(loaded.source)
    seen: set[tuple[str, str]] = set()
    for each in declared.migrations:
        name = each.function.__name__
        text = ""
        if each.record not in declared.records:
            text = f"{each.record!r} is no record of this plugin (records: {', '.join(declared.records)})"
        elif not re.fullmatch(VERSION, each.since):
            text = f'since is the first version whose records {name} takes, such as "1.0.0", not {each.since!r}'
        elif (each.record, each.since) in seen:
            text = f"records {each.record} since {each.since} have a migrate function already"
        elif name in looping:
            text = (
                f"{name} has a loop, itself or in what it calls: a migrate function takes one record, and has no budget"
            )
        if text:
            raise loaded.source.error(text, loaded.source.functions[name])
        seen.add((each.record, each.since))


def _check_outputs(loaded: LoadedPlugin) -> None:
    by_attribute = {snake_case(name): layout for name, layout in loaded.schema.messages.items()}
    for attribute, line in emitted_messages(loaded.source).items():
        layout = by_attribute.get(attribute)
        if layout is None:
            known = ", ".join(by_attribute)
            raise loaded.source.error(f"the schema has no message for tx.emit.{attribute} (messages: {known})", line)
        try:
            output_level(loaded.schema, layout.name)
        except PluginError as error:
            raise loaded.source.error(error.text, line) from error
        loaded.outputs_by_attribute[attribute] = layout
