"""A function for each kind of block that makes all of its bytes at once from a mapping: the fast way to encode.

Its source is generated: one precompiled `struct.pack` of the whole block whose arguments are checked in place.

Invariants
    It does what `SbeView.fill` does, byte for byte, or it gives up with KeyError (a field without a value, a name that
    the message does not have, another value for a constant) and leaves the judgement to `fill`. A value that does not
    fit raises what the field's dialect raises.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from statevec.codecs.block_decoder import plain_constant
from statevec.codecs.field_codec import BYTE_ORDER_CODE, Dialect, FieldCodec
from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout

Encoder = Callable[[Mapping[str, Any]], bytes]


class _Generator:
    """Collects the struct code, the arguments and the objects that they name."""

    def __init__(self, dialect_at: Callable[[str, int], Dialect]) -> None:
        self.dialect_at = dialect_at
        self.code = ""
        self.end = 0
        self.arguments: list[str] = []
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}

    def _bind(self, value: Any) -> str:
        name = f"object{len(self.scope)}"
        self.scope[name] = value
        return name

    def block(
        self, fields: tuple[FieldLayout, ...], source: str, path: str, base: int, more: frozenset[str] = frozenset()
    ) -> None:
        """Arguments for the fields of a block whose values stand in the mapping called `source`."""
        names = self._bind({each.name for each in fields} | more)
        self.lines.append(f"if not {source}.keys() <= {names}: raise KeyError")
        dialect = self.dialect_at(path, base)
        for field in fields:
            if field.composite is not None:
                inner = f"values{len(self.lines)}"
                self.lines.append(f"{inner} = {source}[{field.name!r}]")
                self.lines.append(f"if type({inner}) is not dict: raise KeyError")
                self.block(field.composite.fields, inner, f"{path}{field.name}.", base + field.offset)
            elif field.presence == "constant":
                expected = self._bind(plain_constant(field))
                self.lines.append(f"if {source}.get({field.name!r}, {expected}) != {expected}: raise KeyError")
            elif field.size:
                self._field(field, FieldCodec(field, dialect), source, base)

    def _field(self, field: FieldLayout, codec: FieldCodec, source: str, base: int) -> None:
        self.code += f"{base + field.offset - self.end}x{codec.code}"
        self.end = base + field.end
        value = f"{source}.get({field.name!r})" if codec.optional else f"{source}[{field.name!r}]"
        spread = "*" if field.kind == "array" else ""
        self.arguments.append(f"{spread}{self._bind(codec.encode)}({value})")


def make_block_encoder(
    layout: MessageLayout | GroupLayout,
    prefix: bytes,
    dialect_at: Callable[[str, int], Dialect],
    path: str = "",
    others: frozenset[str] = frozenset(),
) -> Encoder:
    """The function for a block; `prefix` precedes it, `dialect_at(path, base)` is for a composite there, and values of
    the names in `others` are somebody else's.
    """
    generator = _Generator(dialect_at)
    generator.block(layout.fields, "values", path, 0, others)
    order = BYTE_ORDER_CODE[layout.fields[0].byte_order] if layout.fields else "<"
    code = f"{order}{generator.code}{layout.block_length - generator.end}x"
    scope = generator.scope | {"prefix": prefix, "pack": struct.Struct(code).pack}
    lines = "".join(f"    {line}\n" for line in generator.lines)
    result = f"pack({', '.join(generator.arguments)})"
    exec(f"def encode(values):\n{lines}    return {'prefix + ' if prefix else ''}{result}\n", scope)
    encode: Encoder = scope["encode"]
    return encode
