"""`Plugin`: what a plugin's module declares, and the records, handlers and invariants that it collects.

    hedge = Plugin("hedge", version="1.0.0", schema="hedge.xml")

Each decorator notes the declaration and returns what it decorates unchanged, so the module stays an ordinary Python
module. What a declaration alone can show to be wrong is a `PluginError` at once; `loader` checks the rest.

Invariants
    Orders are those of the file: tables, invariants, handlers. They are part of the contract (numbers of tables and
    invariants stand in entries).
    A `Plugin` is written while its module is executed, and not afterwards.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from statevec.codecs.layout import PRIMITIVES, FieldLayout, natural_layout
from statevec.codecs.schema import Schema
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.kinds import FieldMark, read_mark
from statevec.state.records import IndexSpec, RecordLayout, TableSpec

if TYPE_CHECKING:
    from statevec.engine.plugin.simulate import Simulation

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)
READ_PLUGIN_FILE = "__read_plugin_file__"
"""Name in a module's globals under which `loader` leaves what reads the plugin's files: out of the bytes it hashed."""
VERSION = r"\d+\.\d+\.\d+"
RESERVED_TABLES = {
    *("emit", "now_ns", "sequence", "next_id", "set_timer", "cancel_timer", "reject"),
}


class Rejection(int):
    """A rejection code: the number that `tx.reject` takes, with its text for people."""

    text: str

    def __new__(cls, code: int, text: str) -> Rejection:
        made = super().__new__(cls, code)
        made.text = text
        return made


@dataclass(frozen=True)
class RecordDeclaration:
    """A record class: its table's name and capacity, its fields, the index of each field that has one."""

    name: str
    table: str
    capacity: int
    fields: tuple[FieldLayout, ...]
    indexes: dict[str, str]

    @property
    def key(self) -> str:
        return next(name for name, index in self.indexes.items() if index == "key")

    def table_spec(self) -> TableSpec:
        """The table as the state package wants it."""
        kinds = [(each.name, _state_kind(each)) for each in self.fields]
        indexes = [IndexSpec("key", self.key)]
        indexes += [IndexSpec(kind, name) for name, kind in self.indexes.items() if kind != "key"]
        return TableSpec(self.table, RecordLayout.build(self.name, kinds), self.capacity, indexes)


@dataclass(frozen=True)
class Invariant:
    """A function that must hold before commit: of each touched record, or of a table that was touched."""

    name: str
    record: str
    whole_table: bool
    function: Callable[..., Any]


@dataclass(frozen=True)
class Migration:
    """How records of versions from `since` on become those of this one, at the cutover that needs it."""

    record: str
    since: str
    function: Callable[..., Any]


def _state_kind(each: FieldLayout) -> str:
    if each.enum is not None:
        return "u8" if each.primitive.name == "char" else each.primitive.name
    return f"char[{each.length}]" if each.primitive.name == "char" else each.primitive.name


def snake_case(name: str) -> str:
    """RiskSetting -> risk_setting, FIXOrder -> fix_order."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def table_name(record: str) -> str:
    """RiskSetting -> risk_settings, Entry -> entries, Bus -> buses."""
    name = snake_case(record)
    if name.endswith("y") and name[-2:-1] not in ("a", "e", "i", "o", "u"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "z", "ch", "sh")) else "s")


@dataclass
class Declarations:
    """What a plugin's module has declared so far."""

    records: dict[str, RecordDeclaration] = field(default_factory=dict)
    handlers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    timer_handler: Callable[..., Any] | None = None
    invariants: list[Invariant] = field(default_factory=list)
    migrations: list[Migration] = field(default_factory=list)
    rejections: dict[int, Rejection] = field(default_factory=dict)


class Plugin:
    """A plugin: name, semantic version, and the file of its SBE schema, relative to the module that declares it."""

    def __init__(self, name: str, version: str, schema: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise PluginError(f"a plugin's name is lower case, digits and underscores: {name!r}")
        if not re.fullmatch(VERSION, version):
            raise PluginError(f'a version is three numbers, such as "1.0.0": {version!r}')
        self.name = name
        self.version = version
        module = sys._getframe(1).f_globals
        self.path = Path(
            os.path.abspath(module["__file__"])
        )  # no link is followed: the schema lies where it was hashed
        self.schema = Schema.load(self.path.parent / schema, module.get(READ_PLUGIN_FILE, Path.read_bytes))
        self.declarations = Declarations()

    @property
    def directory(self) -> Path:
        """The plugin's directory: that of its module."""
        return self.path.parent

    def rejection(self, code: int, text: str) -> Rejection:
        """A rejection code, 1 to 2**31 - 1, with a text that says why."""
        if not 1 <= code < 1 << 31:
            raise PluginError(f"a rejection code is 1 to 2147483647: {code}")
        if code in self.declarations.rejections:
            raise PluginError(f"rejection {code} exists already: {self.declarations.rejections[code].text!r}")
        made = Rejection(code, text)
        self.declarations.rejections[code] = made
        return made

    def record(self, capacity: int, table: str | None = None) -> Callable[[Class], Class]:
        """Declare a record class: its table holds at most `capacity` records, all memory is taken at the start."""

        def declare(record: Class) -> Class:
            name = record.__name__
            if type(capacity) is not int or capacity < 1:
                raise PluginError(f"the capacity of record {name} is a number of records, not {capacity!r}")
            made = self._record(record, name, table or table_name(name), capacity)
            if any(made.table == each.table or name == each.name for each in self.declarations.records.values()):
                raise PluginError(f"a record or table of that name exists already: {name} ({made.table})")
            self.declarations.records[name] = made
            return record

        return declare

    def _record(self, record: type, name: str, table: str, capacity: int) -> RecordDeclaration:
        if not table.isidentifier() or table.startswith("_") or table in RESERVED_TABLES:
            raise PluginError(f"a table cannot be called {table!r}: give another with table=")
        fields: list[FieldLayout] = []
        indexes: dict[str, str] = {}
        for attribute, annotation in inspect.get_annotations(record, eval_str=True).items():
            mark, index = read_mark(attribute, annotation)
            if attribute.startswith("_"):
                raise PluginError(f"a field cannot be called {attribute!r}")
            fields.append(self._field(attribute, mark))
            if index:
                indexes[attribute] = index
        if list(indexes.values()).count("key") != 1:
            raise PluginError(f"record {name} needs exactly one Key[…]")
        made = RecordDeclaration(name, table, capacity, natural_layout(fields)[0], indexes)
        made.table_spec()  # refuses what cannot be laid out or indexed
        return made

    def _field(self, name: str, mark: FieldMark | type) -> FieldLayout:
        if isinstance(mark, FieldMark):
            return FieldLayout(name, 0, PRIMITIVES[mark.name], length=mark.length)
        layouts = [each.enum for each in self.schema.types.values() if each.enum is not None]
        found = next((each for each in layouts if each.enum_class is mark), None)
        if found is None:
            raise PluginError(f"field {name!r}: {mark.__name__} is no enum of the schema")
        return FieldLayout(name, 0, found.primitive, enum=found)

    def on(self, message: str) -> Callable[[Function], Function]:
        """The handler `f(tx, message)` of a message of the schema."""

        def declare(function: Function) -> Function:
            if message not in self.schema.messages:
                known = ", ".join(self.schema.messages)
                raise PluginError(f"the schema has no message {message!r} (messages: {known})")
            if message in self.declarations.handlers:
                raise PluginError(f"message {message!r} has a handler already")
            self.declarations.handlers[message] = function
            return function

        return declare

    def on_timer(self, function: Function) -> Function:
        """The handler `f(tx, timer_id)` of all timers."""
        if self.declarations.timer_handler is not None:
            raise PluginError("there is a handler of timers already")
        self.declarations.timer_handler = function
        return function

    def invariant(self, record: type, *, whole_table: bool = False) -> Callable[[Function], Function]:
        """A promise `f(tx, record) -> bool` about each touched record, or `f(tx, table) -> bool` about its table."""

        def declare(function: Function) -> Function:
            if record.__name__ not in self.declarations.records:
                raise PluginError(f"{record.__name__} is no record of this plugin")
            made = Invariant(function.__name__, record.__name__, whole_table, function)
            self.declarations.invariants.append(made)
            return function

        return declare

    def migrate(self, record: str, *, since: str) -> Callable[[Function], Function]:
        """How a record of version `since`, or of a later one, becomes one of this one: `f(old, new)` (`migration`)."""

        def declare(function: Function) -> Function:
            self.declarations.migrations.append(Migration(record, since, function))
            return function

        return declare

    def simulate(
        self, tier: Literal["compiled", "interpreted"] = "compiled", now_ns: int = 0, epoch: int = 1
    ) -> Simulation:
        """An engine in this process, for tests: same kernels, same tiers as the live one."""
        from statevec.engine.plugin.simulate import simulate

        return simulate(self.directory, tier, now_ns, epoch)

    def __repr__(self) -> str:
        return f"Plugin({self.name!r}, {self.version!r})"
