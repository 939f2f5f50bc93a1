"""The parts of an output message, level by level: what both tiers need to write groups and data in place.

    level = output_level(schema, "Basket")
    level.parts["legs"].descriptor, level.parts["legs"].entry.parts["note"]

Invariants
    Messages nest at most MAX_OPEN_LEVELS deep, and no group of theirs must have entries: an output is a whole message
    at any time. Others are refused when the plugin is loaded.

Nothing here changes after it was made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from statevec.codecs.layout import DataLayout, FieldLayout, GroupLayout, MessageLayout, attribute_name
from statevec.codecs.message_encoder import DataEncoder, GroupEncoder, LevelEncoder
from statevec.codecs.schema import Schema
from statevec.engine.plugin import output_layout as layout
from statevec.engine.plugin.errors import PluginError
from statevec.ipc.memory import Region
from statevec.state.transaction_layout import MAX_OPEN_LEVELS

HIGHEST = (1 << 63) - 1
DESCRIPTOR = struct.Struct("<9q")
assert DESCRIPTOR.size == layout.PART_IMAGE


@dataclass(frozen=True)
class OutputPart:
    """A group or data. `descriptor` is laid out as `output_layout` says; `entry` is None for data."""

    layout: GroupLayout | DataLayout
    descriptor: bytes
    entry: OutputLevel | None

    @cached_property
    def memory(self) -> Region:
        """The descriptor at an address."""
        return Region.of(self.descriptor)


@dataclass(frozen=True)
class OutputLevel:
    """A message, or the entries of a group: its parts by attribute; `path` is its name, dotted."""

    layout: MessageLayout | GroupLayout
    path: str
    parts: dict[str, OutputPart]

    @property
    def fields(self) -> tuple[FieldLayout, ...]:
        return self.layout.fields


def output_level(schema: Schema, message: str) -> OutputLevel:
    """The level of a whole message; PluginError for one that cannot be an output."""
    return _level(schema.encoder(message), message, 0, b"")


def _level(encoder: LevelEncoder, path: str, depth: int, behind: bytes) -> OutputLevel:
    """`behind` is what lies behind the level while it is written."""
    if depth >= MAX_OPEN_LEVELS:
        raise PluginError(f"{path} is nested deeper than {MAX_OPEN_LEVELS} levels, so it cannot be part of an output")
    parts: dict[str, OutputPart] = {}
    for number, (name, member) in enumerate(encoder.members):
        tail = b"".join(each.empty for _, each in encoder.members[number + 1 :]) + behind
        made = _part(member, f"{path}.{name}", (depth, number), tail)
        parts[attribute_name(name)] = made
    return OutputLevel(encoder.layout, path, parts)


def _part(member: GroupEncoder | DataEncoder, path: str, place: tuple[int, int], tail: bytes) -> OutputPart:
    if isinstance(member, DataEncoder):
        return OutputPart(member.layout, _descriptor(member.layout.length_field, place, member, b"", tail), None)
    if member.lowest > 0:
        raise PluginError(f"{path} has {member.lowest} entries at least, so it cannot be part of an output")
    descriptor = _descriptor(member.number, place, member, member.entry.empty, tail)
    return OutputPart(member.layout, descriptor, _level(member.entry, path, place[0] + 1, tail))


def _descriptor(
    number: FieldLayout, place: tuple[int, int], member: GroupEncoder | DataEncoder, entry: bytes, tail: bytes
) -> bytes:
    words = (
        *place,
        number.offset,
        number.primitive.size,
        number.byte_order == "big",
        min(member.highest, HIGHEST),
        len(member.empty),
        len(entry),
        len(tail),
    )
    return DESCRIPTOR.pack(*words) + entry + tail
