"""The parameters of a backtest: `NAME=VALUES` read, checked against the messages of a plugin, and combined.

    position_limit=100,200,400        three values, in every input message that has the field
    requote_distance=2:8:2            2, 4, 6, 8: first, last, step
    RiskConfig.position_limit=100     in that message only
    venue.latency_us=0,200            a parameter of the surroundings, which name theirs with a dot

A *setting* is one value of a parameter; a run has one of each. `Changes` puts the settings of a run into messages.

Invariants
    A value was encoded by the schema's own rules before any run begins: no run ends in the middle for one.
    Constants of a plugin's module are no parameters: they are part of its content hash, which a result names.

Values only; nothing is kept.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from statevec.codecs.errors import SbeError
from statevec.codecs.field_codec import FieldCodec
from statevec.codecs.flyweight import SbeDialect
from statevec.codecs.layout import FieldLayout
from statevec.codecs.schema import Schema
from statevec.engine.plugin.loader import LoadedPlugin

Value = int | float | str | None
Settings = dict[str, Value]
"""By the parameter's name."""

PARAMETER = re.compile(r"(?P<name>[\w.]+)=(?P<values>.+)", re.DOTALL)
STEPS = re.compile(r"(-?\d+):(-?\d+):(-?\d+)")
NUMBER = re.compile(r"-?\d+")
RUNS_MAX = 10_000


class SettingError(ValueError):
    """A parameter that is none, or a value that does not fit; the message names both."""


class Parameter(NamedTuple):
    """A parameter and the values to try."""

    name: str
    values: tuple[Value, ...]


def read_parameter(text: str) -> Parameter:
    """`NAME=VALUES` with values separated by commas, or `FIRST:LAST:STEP` with whole numbers, LAST included."""
    match = PARAMETER.fullmatch(text)
    if match is None:
        raise SettingError(f"a parameter is NAME=VALUE,… or NAME=FIRST:LAST:STEP, not {text!r}")
    values: list[Value] = []
    for part in match["values"].split(","):
        steps = STEPS.fullmatch(part.strip())
        values += _steps(text, *map(int, steps.groups())) if steps else [_value(part.strip(), text)]
    if len(set(values)) < len(values):
        raise SettingError(f"a value is given twice: {text}")
    return Parameter(match["name"], tuple(values))


def _steps(text: str, first: int, last: int, step: int) -> Sequence[int]:
    count = (last - first) // step + 1 if step else 0
    if count < 1:
        raise SettingError(f"no value lies there: {text}: first={first} last={last} step={step}")
    if count > RUNS_MAX:
        raise SettingError(f"too many values: {text}: count={count} max={RUNS_MAX}")
    return range(first, first + count * step, step)


def _value(part: str, text: str) -> Value:
    if not part:
        raise SettingError(f"a value is missing: {text}")
    if part == "none":
        return None
    if NUMBER.fullmatch(part):
        return int(part)
    try:
        return float(part)
    except ValueError:
        return part


def combine(parameters: Sequence[Parameter], pairs: bool) -> list[Settings]:
    """The settings of each run: all combinations of values, the last parameter turning fastest; `pairs` zips them."""
    names = [each.name for each in parameters]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"a parameter is given twice: {name}")
    if pairs:
        counts = {each.name: len(each.values) for each in parameters}
        if len(set(counts.values())) > 1:
            told = " ".join(f"{name}={count}" for name, count in counts.items())
            raise SettingError(f"pairs need as many values of each parameter: {told}")
        combined = list(zip(*(each.values for each in parameters), strict=True)) or [()]
    else:
        runs = 1
        for each in parameters:
            runs *= len(each.values)
        if runs > RUNS_MAX:
            raise SettingError(f"too many runs: runs={runs} max={RUNS_MAX}")
        combined = list(itertools.product(*(each.values for each in parameters)))
    return [dict(zip(names, values, strict=True)) for values in combined]


class Changes:
    """The settings of one run as they go into messages. SettingError for what fits no input of the plugin."""

    def __init__(self, plugin: LoadedPlugin, settings: Mapping[str, Value]) -> None:
        self._schema = plugin.schema
        self._of_message: dict[str, dict[str, Value]] = {}
        inputs = [name for name in plugin.declarations.handlers if name in plugin.schema.messages]
        for name, value in settings.items():
            for message in _messages_with(plugin, inputs, name):
                field = name.rpartition(".")[2]
                _check(plugin.schema, message, field, value)
                self._of_message.setdefault(message, {})[field] = value

    def touches(self, message: str) -> bool:
        """Whether a message of that name is changed."""
        return message in self._of_message

    def apply(self, message: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a message with this run's values in place of its own."""
        return fields | self._of_message.get(message, {})


def _messages_with(plugin: LoadedPlugin, inputs: list[str], name: str) -> list[str]:
    """The input messages that a parameter's name means."""
    message, dot, field = name.rpartition(".")
    if dot and message not in inputs:
        raise SettingError(f"{plugin.name} takes no message {message!r}: {name} (messages: {', '.join(inputs)})")
    found = [each for each in ([message] if dot else inputs) if field in _fields(plugin.schema, each)]
    if found:
        return found
    if name in plugin.source.globals:
        raise SettingError(
            f"{name} is a constant of {plugin.path.name}, line {plugin.source.globals[name]}, and no parameter: it is "
            f"part of what {plugin.name}@{plugin.version} is. Change it in a copy of the plugin that has a version of "
            f"its own, see `statevec plugin --help`, and give both"
        )
    there = {field: None for each in ([message] if dot else inputs) for field in _fields(plugin.schema, each)}
    raise SettingError(f"{name} is no field of an input of {plugin.name}@{plugin.version} (fields: {', '.join(there)})")


def _fields(schema: Schema, message: str) -> dict[str, FieldLayout]:
    return {field.name: field for field in schema.layout(message).fields if field.presence != "constant"}


def _check(schema: Schema, message: str, field: str, value: Value) -> None:
    layout = _fields(schema, message)[field]
    if layout.kind in ("composite", "array", "set"):
        raise SettingError(f"{message}.{field} is of several values, which one parameter cannot set: {layout.kind}")
    try:
        FieldCodec(layout, SbeDialect(message)).encode(value)
    except SbeError as error:
        raise SettingError(f"{field}={value}: {error}") from error
