"""What a message looks like in bytes, as rows for people: offsets, sizes, types, presence, versions.

An offset counts from the start of its block (of the message, or of an entry of its group); a member of a composite has
that of its place in the block. Groups and data have no fixed place, so no offset; their size is that of what stands
before the entries or bytes.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout
from statevec.codecs.schema import Schema

SBE_NAMES = {"f32": "float", "f64": "double", "char": "char"}


@dataclass(frozen=True)
class TableRow:
    """One row; `depth` is how deep it is nested, `since` the version from which on messages have it."""

    HEADINGS: ClassVar[tuple[str, ...]] = ("OFFSET", "SIZE", "NAME", "TYPE", "PRESENCE", "SINCE")

    offset: int | None
    size: int
    name: str
    type: str
    presence: str
    since: int
    depth: int

    def cells(self) -> tuple[str, ...]:
        """Texts under the headings."""
        offset = "" if self.offset is None else str(self.offset)
        since = str(self.since) if self.since else ""
        return offset, str(self.size), "  " * self.depth + self.name, self.type, self.presence, since

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def schema_rows(schema: Schema, message_name: str) -> Iterator[TableRow]:
    """The rows of a message, itself first."""
    layout = schema.layout(message_name)
    kind = f"message id={layout.id} blockLength={layout.block_length}"
    yield TableRow(None, schema.header.size, layout.name, kind, "", layout.since_version, 0)
    yield from _level(layout, 1)


def _level(level: MessageLayout | GroupLayout, depth: int) -> Iterator[TableRow]:
    for field in level.fields:
        yield from _field(field, 0, field.since, depth)
    for group in level.groups:
        kind = f"group blockLength={group.block_length}"
        yield TableRow(None, group.dimensions.size, group.name, kind, "", group.since_version, depth)
        yield from _level(group, depth + 1)
    for data in level.data:
        length = data.length_field
        kind = f"data {_primitive(length)}" + (f" {data.encoding}" if data.encoding else "")
        yield TableRow(None, length.end, data.name, kind, "", data.since_version, depth)


def _field(field: FieldLayout, base: int, since: int, depth: int) -> Iterator[TableRow]:
    offset = base + field.offset
    yield TableRow(offset, field.size, field.name, _type(field), _presence(field), since, depth)
    if field.composite is not None:
        for member in field.composite.fields:
            yield from _field(member, offset, max(since, member.since), depth + 1)


def _primitive(field: FieldLayout) -> str:
    """SBE's name of the primitive."""
    name = field.primitive.name
    if name in SBE_NAMES:
        return SBE_NAMES[name]
    return f"uint{name[1:]}" if name.startswith("u") else f"int{name[1:]}"


def _type(field: FieldLayout) -> str:
    if field.composite is not None:
        return f"composite {field.composite.name}"
    text = _primitive(field)
    if field.length != 1:
        text += f"[{field.length}]"
    named = field.enum or field.choices
    if named is not None:
        return f"{'enum' if field.enum is not None else 'set'} {named.name} ({text})"
    return text


def _presence(field: FieldLayout) -> str:
    if field.presence == "constant":
        return f"constant {field.constant!r}"
    return field.presence
