"""`RecordNames`: a version's tables in words: records as fields by name, keys as people write them.

    names.fields(table, image)        enums by name, text as text
    names.key_word("orders", "17")    the word that kernels take; enum names and characters too

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.engine.plugin.decoding import enums_of, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.memory import MASK64, Region
from statevec.journal.decode import plain_value
from statevec.state import arena_layout
from statevec.state.arena import ArenaLayout, TableLayout
from statevec.state.reading import RecordView, read_fields, read_rows

BOUNDS = {
    **{f"i{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
    "bool": (0, 1),
}


class RecordNameError(Exception):
    """A table, key or field that is not there; the text is `state TABLE[KEY].FIELD: what is wrong`."""


class RecordNames:
    """Names of one version's tables, the engine's own included."""

    def __init__(self, plugin: LoadedPlugin) -> None:
        self.plugin = plugin
        self.tables = tables_of(plugin)
        self.numbers = {spec.name: number for number, spec in self.tables.items()}
        self._enums = enums_of(plugin)
        self._spoken: dict[int, list[str]] = {}
        """By table, the fields whose values are not shown as they are."""

    def fields(self, table: int, image: bytes | memoryview) -> dict[str, Any]:
        """A record's fields by name from its bytes."""
        return self.named(table, read_fields(self.tables[table].record, image))

    def named(self, table: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Fields with the names of enums' values, and text as text."""
        spec = self.tables[table]
        if table not in self._spoken:
            kinds = [(each.name, each.kind) for each in spec.record.fields]
            spoken = [name for name, kind in kinds if (spec.name, name) in self._enums or kind.startswith("char")]
            self._spoken[table] = spoken
        for field in self._spoken[table]:
            fields = fields | {field: self.value(spec.name, field, fields[field])}
        return fields

    def value(self, table: str, field: str, value: Any) -> Any:
        """One field's value as people see it."""
        enum = self._enums.get((table, field))
        if enum is None:
            return plain_value(value)
        found = enum._value2member_map_.get(value)
        return value if found is None else found.name

    def key_field(self, table: int) -> str:
        """Name of the field that is the key."""
        return self.tables[table].indexes[0].field

    def shown(self, table: int, field: str, word: int) -> Any:
        """A word of a key or an index as people see it: enums by name, `u64` without sign."""
        if self.tables[table].record.field(field).kind == "u64":
            return word & MASK64
        return self.value(self.tables[table].name, field, word)

    def table(self, name: str) -> int:
        """The number of a table by its name. Raises `RecordNameError`."""
        if name not in self.numbers:
            known = ", ".join(spec.name for spec in list(self.tables.values())[FIRST_PLUGIN_TABLE:])
            raise RecordNameError(f"state {name}: no such table in {self._version}; its tables are {known}")
        return self.numbers[name]

    def word(self, table: int, field: str, text: str, where: str) -> int:
        """A value of an integer or enum field as a signed 64-bit word; `where` begins the text of an error.

        `text` is a number, the name of an enum's value, or the character that one stands for.
        """
        name, kind = self.tables[table].name, self.tables[table].record.field(field).kind
        enum = self._enums.get((name, field))
        if enum is not None:
            members = enum.__members__
            by_character = {chr(member): int(member) for member in members.values() if 32 <= int(member) < 127}
            if text in members:
                return int(members[text])
            if not text.lstrip("-").isdigit():
                if text in by_character:
                    return by_character[text]
                raise RecordNameError(f"{where}: no such value: {text!r}; {enum.__name__} has {', '.join(members)}")
        if kind == "bool" and text.lower() in ("true", "false"):
            return int(text.lower() == "true")
        try:
            number = int(text, 0)
        except ValueError:
            raise RecordNameError(f"{where}: not a number: {text!r}") from None
        low, high = BOUNDS[kind]
        if not low <= number <= high:
            raise RecordNameError(f"{where}: out of range of {kind}: {number}, from {low} to {high}")
        return number - (1 << 64) if number > BOUNDS["i64"][1] else number

    def key_word(self, table: int, text: str) -> int:
        """The word of a key as somebody wrote it. Raises `RecordNameError`."""
        name = self.tables[table].name
        return self.word(table, self.key_field(table), text, f"state {name}[{text}]")

    def rows(self, layout: ArenaLayout, arena: Region, table: int) -> list[tuple[Any, RecordView]]:
        """All records of a table in the order of their keys, each with its key."""
        key = self.key_field(table)
        found = [(each.fields[key], each) for each in read_rows(arena, self.layout_of(layout, table))]
        return sorted(found, key=lambda pair: pair[0])

    def layout_of(self, layout: ArenaLayout, table: int) -> TableLayout:
        """Where a table lies in the arena."""
        return layout.tables[self.tables[table].name]

    @property
    def _version(self) -> str:
        return f"{self.plugin.name}@{self.plugin.version}"


def record_count(arena: Region, table: TableLayout) -> int:
    """How many records a table has."""
    return arena.load_i64(table.at + arena_layout.TABLE_ROW_COUNT)
