"""The changes that `what-if` can make: a field of the input, and a field of a record in the state.

    input     decoded to JSON's values, one changed, encoded again: `groups[0].field` reaches into groups
    state     through the table as handlers get it, so that ranges are checked and indexes follow

Errors say where, as a path: `input bid_price: …`, `state orders[17].quantity: …`.

The state that is changed belongs to the caller's walker, which must forget it afterwards. A crash leaves nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from statevec.audit.state_at_records import BOUNDS, RecordNames
from statevec.codecs.errors import SbeError
from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.engine.execution import Execution
from statevec.engine.plugin.interpreted_records import prepare_operations
from statevec.engine.plugin.interpreted_transaction import Binding, Outputs
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.faults import Fault
from statevec.journal import entry_layout as entries
from statevec.journal.entry_view import Entry
from statevec.state.arena_layout import ROW_LAST_CHANGED, ROW_VERSION
from statevec.state.tables import find
from statevec.state.transaction import begin, savepoint

STATE = re.compile(r"(?P<table>\w+)\[(?P<key>[^\]]+)\]\.(?P<field>\w+)=(?P<value>.*)", re.DOTALL)
INPUT = re.compile(r"(?P<path>[\w.\[\]]+)=(?P<value>.*)", re.DOTALL)
STEP = re.compile(r"(\w+)|\[(\d+)\]")


class WhatIfError(Exception):
    """A change that cannot be made; the text is a path and what is wrong there."""


def change_input(entry: Entry, plugin: LoadedPlugin, changes: list[str], max_input: int) -> tuple[Entry, list[str]]:
    """The entry with a changed input of at most `max_input` bytes, and what was changed in words.

    Each change is `FIELD=VALUE`. Raises `WhatIfError`.
    """
    if not changes:
        return entry, []
    if entry.kind != entries.COMMAND:
        raise WhatIfError(
            f"input: entry {entry.sequence} is a {entry.kind_name}: only a command's input can be changed"
        )
    try:
        view = plugin.schema.decode(entry.input)
        values = json.loads(view.to_json())
    except SbeError as error:
        raise WhatIfError(f"input: entry {entry.sequence} has no message that could be changed: {error}") from error
    name = view.layout.name
    told = []
    for change in changes:
        match = INPUT.fullmatch(change)
        if match is None:
            raise WhatIfError(f"input {change}: a change is FIELD=VALUE, such as price=100 or legs[0].price=100")
        path = match["path"]
        before = _assign(values, path, match["value"], name)
        told.append(f"input {path}: {before} -> {match['value']}")
    try:
        message = plugin.schema.from_json(name, json.dumps(values))
    except SbeError as error:
        raise WhatIfError(f"input {error}") from error
    if len(message) > max_input:
        raise WhatIfError(f"input {name}: message would be too long: length={len(message)} max={max_input}")
    return with_input(entry, message), told


def _assign(values: Any, path: str, text: str, message: str) -> Any:
    """Store a value at a path of a decoded message; what stood there."""
    steps: list[str | int] = [name or int(number) for name, number in STEP.findall(path)]
    place = values
    for number, step in enumerate(steps):
        known = list(place) if isinstance(place, dict) else []
        fits = step in known if isinstance(step, str) else isinstance(place, list) and step < len(place)
        if not fits:
            there = f"it has {', '.join(known)}" if known else "there is none"
            raise WhatIfError(f"input {path}: no such field in {message}; {there}")
        if number == len(steps) - 1:
            before, place[step] = place[step], _json_value(text, place[step])
            return before
        place = place[step]
    raise WhatIfError(f"input {path}: names no field of {message}")


def _json_value(text: str, before: Any) -> Any:
    """The value that a text means where `before` stood; the schema's own checks judge it."""
    if isinstance(before, str):
        return None if text == "none" else text
    try:
        return json.loads({"none": "null"}.get(text, text))
    except ValueError:
        return text


def with_input(entry: Entry, message: bytes) -> Entry:
    """The entry as it would have been recorded with another input, before it was run."""
    padded = message + bytes(-len(message) % 8)
    raw = bytearray(entry.raw[: entries.INPUT]) + padded
    for offset, value in (
        (entries.LENGTH, len(raw)),
        (entries.INPUT_LENGTH, len(message)),
        (entries.INPUT_TRUE_LENGTH, len(message)),
        (entries.OUTPUTS_LENGTH, 0),
        (entries.DELTA_LENGTH, 0),
    ):
        raw[offset : offset + 4] = value.to_bytes(4, "little")
    return Entry(raw)


def change_state(execution: Execution, plugin: LoadedPlugin, changes: list[str]) -> list[str]:
    """Change records in the state of `execution`, which `plugin` decides; what was changed in words.

    Each change is `TABLE[KEY].FIELD=VALUE`. Record versions stay: nothing was committed.
    """
    if not changes:
        return []
    names = RecordNames(plugin)
    prepare_operations()
    binding = Binding(plugin, execution.tx.address, Outputs(plugin))
    begin(execution.tx)
    told = [_change_record(execution, names, binding, change) for change in changes]
    kept = []
    for change in changes:
        row = _row_of(execution, names, change)
        words = [(row + offset, execution.arena.load_i64(row + offset)) for offset in (ROW_VERSION, ROW_LAST_CHANGED)]
        kept.append(words)
    savepoint(execution.tx)
    for words in kept:
        for offset, value in words:
            execution.arena.store_i64(offset, value)
    return told


def _parts(change: str) -> re.Match[str]:
    match = STATE.fullmatch(change)
    if match is None:
        raise WhatIfError(f"state {change}: a change is TABLE[KEY].FIELD=VALUE, such as positions[7].quantity=100")
    return match


def _row_of(execution: Execution, names: RecordNames, change: str) -> int:
    match = _parts(change)
    number = names.table(match["table"])
    return int(find(execution.tx, number, names.key_word(number, match["key"])))


def _change_record(execution: Execution, names: RecordNames, binding: Binding, change: str) -> str:
    match = _parts(change)
    table, field = match["table"], match["field"]
    where = f"state {table}[{match['key']}].{field}"
    number = names.table(table)
    record = names.tables[number].record
    if number < FIRST_PLUGIN_TABLE:
        raise WhatIfError(f"{where}: the engine's own tables cannot be changed")
    if field not in record.by_name:
        raise WhatIfError(f"{where}: no such field; {table} has {', '.join(record.by_name)}")
    key = names.key_word(number, match["key"])
    if find(execution.tx, number, key) == 0:
        raise WhatIfError(f"{where}: no such record after entry {execution.sequence}")
    if field == names.key_field(number):
        raise WhatIfError(f"{where}: is the key, which never changes")
    value = _field_value(names, number, field, match["value"], where)
    view = getattr(binding.transaction, table).edit(key)
    before = names.value(table, field, getattr(view, field))
    try:
        setattr(view, field, value)
    except (Fault, TypeError, ValueError) as error:
        raise WhatIfError(f"{where}: {type(error).__name__}: {error}") from error
    return f"{where}: {before} -> {match['value']}"


def _field_value(names: RecordNames, table: int, field: str, text: str, where: str) -> Any:
    kind = names.tables[table].record.field(field).kind
    if kind.startswith("char"):
        return text.encode()
    if kind in ("f32", "f64"):
        try:
            return float(text)
        except ValueError:
            raise WhatIfError(f"{where}: not a number: {text!r}") from None
    assert kind in BOUNDS
    word = names.word(table, field, text, where)
    return bool(word) if kind == "bool" else word
