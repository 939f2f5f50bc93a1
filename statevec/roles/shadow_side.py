"""Decoding what one version gave, as fast as Python can: only what a comparison or a rule looks at.

The same words as in `journal/decode`, which shows whole entries to people.

Invariant: what cannot be decoded is its bytes (hex); nothing is left out.

Nothing here is shared: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from statevec.codecs.errors import SbeError
from statevec.codecs.schema import Schema
from statevec.engine.plugin.decoding import enums_of, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.decode import own_schema, plain_value
from statevec.journal.entry_layout import COMMAND
from statevec.journal.entry_view import Change, Entry, Output
from statevec.state.records import TableSpec

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Table:
    """How a table's images are read."""

    name: str
    key: str
    names: tuple[str, ...]
    record: np.dtype[Any]
    converted: dict[str, Callable[[Any], Any]]

    def fields(self, image: bytes) -> Fields:
        values = dict(zip(self.names, np.frombuffer(image, self.record, count=1)[0].item(), strict=True))
        for name, convert in self.converted.items():
            values[name] = convert(values[name])
        return values


class Side:
    """What one version's plugin says about outputs, changes and inputs."""

    def __init__(self, plugin: LoadedPlugin) -> None:
        self._schema = plugin.schema
        enums = enums_of(plugin)
        self._tables = {number: _table(spec, enums) for number, spec in tables_of(plugin).items()}

    def output(self, output: Output) -> tuple[str, Fields]:
        """Message name and fields of an output; its expiry is a field when it has one."""
        name, fields = _message(output.message, self._schema)
        return name, fields | {"expires_ns": output.expires_ns} if output.expires_ns else fields

    def change(self, change: Change) -> tuple[str, Any, Fields]:
        """Table, key and fields of a change; by its row where the table is not known."""
        table = self._tables.get(change.table)
        if table is None or len(change.image) != table.record.itemsize:
            return str(change.table), change.row, {"bytes": change.image.hex()}
        fields = table.fields(change.image)
        return table.name, fields[table.key], fields

    def input(self, entry: Entry) -> tuple[str, Fields]:
        """Message name and fields of an entry's input, both empty where it has none."""
        if not entry.input:
            return "", {}
        return _message(entry.input, self._schema if entry.kind == COMMAND else own_schema())


def _message(content: bytes, schema: Schema) -> tuple[str, Fields]:
    try:
        view = schema.decode(content)
        return view.layout.name, view.to_dict()
    except SbeError:
        return "?", {"bytes": content.hex()}


def _table(spec: TableSpec, enums: dict[tuple[str, str], type[IntEnum]]) -> _Table:
    converted: dict[str, Callable[[Any], Any]] = {}
    for field in spec.record.fields:
        enum = enums.get((spec.name, field.name))
        if enum is not None:
            converted[field.name] = _namer(enum)
        elif field.kind.startswith("char"):
            converted[field.name] = plain_value
    return _Table(
        spec.name,
        spec.indexes[0].field,
        tuple(field.name for field in spec.record.fields),
        spec.record.dtype,
        converted,
    )


def _namer(enum: type[IntEnum]) -> Callable[[Any], Any]:
    names = {each.value: each.name for each in enum}
    return lambda value: names.get(value, value)
