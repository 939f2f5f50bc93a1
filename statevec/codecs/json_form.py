"""Values of messages as JSON, and back without loss.

    bytes                   {"hex": "00ff"}
    NaN, infinities         "NaN", "Infinity", "-Infinity"
    all else                numbers, text, true, false, null, lists and objects as they are

Invariant: what `to_dict` gives comes back from `from_json(to_json(values))` equal, so a message written by an encoder
that pads with zeros comes back to its bytes. Integers of 64 bits are written in full: a reader must not make floats of
them.

Nothing here keeps state.
"""

from __future__ import annotations

import json
import math
from typing import Any

from statevec.codecs.errors import ValueTypeError
from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_plain(value: Any) -> Any:
    """A value as `to_dict` gives it, ready to be written as JSON."""
    if isinstance(value, dict):
        return {name: to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def to_json(values: Any) -> str:
    """Values as `to_dict` gives them, as JSON."""
    return json.dumps(to_plain(values), ensure_ascii=False, allow_nan=False)


def parse_json(text: str | bytes) -> Any:
    """JSON as Python values; ValueTypeError for what is none, and for an object that has a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ValueTypeError(f"not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueTypeError(f"the key {twice!r} stands there twice")
    return made


def from_json(layout: MessageLayout, text: str | bytes) -> dict[str, Any]:
    """The values of a message, ready for `Schema.encode`; ValueTypeError for what is no JSON object."""
    return values_of_json(layout, parse_json(text))


def values_of_json(layout: MessageLayout, values: Any) -> dict[str, Any]:
    """The same from JSON that has been parsed."""
    if not isinstance(values, dict):
        raise ValueTypeError("not a JSON object", layout.name)
    return _level(layout, values, layout.name, "")


def _level(layout: MessageLayout | GroupLayout, values: dict[str, Any], message: str, path: str) -> dict[str, Any]:
    """Names that the level does not have stay: the encoder refuses them in its own words."""
    made = dict(values)
    _fields(layout.fields, made, message, path)
    for group in layout.groups:
        entries = made.get(group.name)
        if isinstance(entries, list):
            made[group.name] = [
                _level(group, each, message, f"{path}{group.name}.") if isinstance(each, dict) else each
                for each in entries
            ]
    for data in layout.data:
        value = made.get(data.name)
        if isinstance(value, dict) and set(value) == {"hex"}:
            try:
                made[data.name] = bytes.fromhex(value["hex"])
            except (TypeError, ValueError) as error:
                raise ValueTypeError(f"not hex digits: {value['hex']!r}", message, f"{path}{data.name}") from error
    return made


def _fields(fields: tuple[FieldLayout, ...], values: dict[str, Any], message: str, path: str) -> None:
    for field in fields:
        value = values.get(field.name)
        if field.composite is not None and isinstance(value, dict):
            values[field.name] = inner = dict(value)
            _fields(field.composite.fields, inner, message, f"{path}{field.name}.")
        elif any(isinstance(each, bool) for each in (value if isinstance(value, list) else [value])):
            raise ValueTypeError(f"no field holds true or false: {json.dumps(value)}", message, f"{path}{field.name}")
        elif field.primitive.kind == "float" and field.presence != "constant":
            if isinstance(value, str):
                values[field.name] = SPECIAL.get(value, value)
            elif isinstance(value, list):
                values[field.name] = [SPECIAL.get(each, each) if isinstance(each, str) else each for each in value]
