"""A function for each flat message that makes all of its bytes at once from a mapping: the fast way to encode.

Its source is generated: one precompiled `struct.pack` of the whole block whose arguments are checked in place.

Invariants
    It does what `SbeView.fill` does, byte for byte, or it gives up with KeyError (a field without a value, a name that
    the message does not have, a constant given as a value) and leaves the judgement to `fill`. A value that does not
    fit raises what the field's dialect raises.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from statevec.codecs.field_codec import BYTE_ORDER_CODE, Dialect, FieldCodec
from statevec.codecs.layout import FieldLayout, MessageLayout

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

    def block(self, fields: tuple[FieldLayout, ...], source: str, path: str, base: int) -> None:
        """Arguments for the fields of a block whose values stand in the mapping called `source`."""
        names = self._bind({each.name for each in fields if each.presence != "constant"})
        self.lines.append(f"if not {source}.keys() <= {names}: raise KeyError")
        dialect = self.dialect_at(path, base)
        for field in fields:
            if field.composite is not None:
                inner = f"values{len(self.lines)}"
                self.lines.append(f"{inner} = {source}[{field.name!r}]")
                self.lines.append(f"if type({inner}) is not dict: raise KeyError")
                self.block(field.composite.fields, inner, f"{path}{field.name}.", base + field.offset)
            elif field.presence != "constant" and field.size:
                self._field(field, FieldCodec(field, dialect), source, base)

    def _field(self, field: FieldLayout, codec: FieldCodec, source: str, base: int) -> None:
        self.code += f"{base + field.offset - self.end}x{codec.code}"
        self.end = base + field.end
        value = f"{source}.get({field.name!r})" if codec.optional else f"{source}[{field.name!r}]"
        spread = "*" if field.kind == "array" else ""
        self.arguments.append(f"{spread}{self._bind(codec.encode)}({value})")


def make_block_encoder(layout: MessageLayout, header: bytes, dialect_at: Callable[[str, int], Dialect]) -> Encoder:
    """The function for a message; `header` precedes every block, `dialect_at(path, base)` is for a composite there."""
    generator = _Generator(dialect_at)
    generator.block(layout.fields, "values", "", 0)
    code = f"{BYTE_ORDER_CODE[layout.byte_order]}{generator.code}{layout.block_length - generator.end}x"
    scope = generator.scope | {"header": header, "pack": struct.Struct(code).pack}
    lines = "".join(f"    {line}\n" for line in generator.lines)
    exec(f"def encode(values):\n{lines}    return header + pack({', '.join(generator.arguments)})\n", scope)
    encode: Encoder = scope["encode"]
    return encode
