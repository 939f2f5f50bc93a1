"""Functions that walk a level's groups and data in native code: one for each level, made of its layout.

    walk(tail, limit, version, stop) -> int

`tail` is the address of the end of the level's block, `limit` that of the end of the message, `version` the acting
version, `stop` the number of a member (as many as there are: walk to the end). Answers the address of that member, or
MALFORMED when a count, a block length or a length is not borne out by the bytes that are there.

Invariants
    Nothing at or beyond `limit` is read; every number is checked before it is used. The judgement is that of
    `levels.py`, which is written independently of it.
    A walk costs a turn for each entry that has groups or data of its own, and one step for each other group.

The source is the same compiled and as plain Python (`Walk.plain`, `Walk.compiled`). The memory is a private copy of a
message that nobody else writes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from statevec.codecs.header_check import load_unsigned
from statevec.codecs.layout import DataLayout, FieldLayout, GroupLayout, MessageLayout, minimum_block_length
from statevec.codecs.levels import EMPTY_ENTRIES_MAX
from statevec.ipc.kernel import kernel, plain
from statevec.ipc.memory import region_at

MALFORMED = -1
HIGHEST = (1 << 63) - 1
Members = tuple[GroupLayout | DataLayout, ...]


@kernel
def load_number(address: int, width: int, big_endian: bool) -> int:
    """An unsigned integer of 1, 2, 4 or 8 bytes at an address; one above 2^63 - 1 gives a negative number."""
    return load_unsigned(region_at(address, width), 0, width, big_endian)


@kernel
def skip_data(position: int, limit: int, offset: int, width: int, big_endian: bool, end: int, highest: int) -> int:
    """The end of variable data at `position`, or MALFORMED. The length lies at `offset`, the bytes begin at `end`."""
    if limit - position < end:
        return MALFORMED
    length = load_number(position + offset, width, big_endian)
    first = position + end
    if length < 0 or length > highest or length > limit - first:
        return MALFORMED
    return first + length


@kernel
def check_entries(position: int, limit: int, block: int, count: int, minimum: int, lowest: int, highest: int) -> bool:
    """Whether `count` entries of at least `block` bytes each may stand at `position`."""
    if count < lowest or count > highest or count < 0:
        return False
    if count > 0 and (block < minimum or block > limit - position):
        return False
    room = limit - position
    return count * block <= room and not (block == 0 and count > EMPTY_ENTRIES_MAX and count > room)


HELPERS = {"load_number": load_number, "skip_data": skip_data, "check_entries": check_entries}
"""What generated walks call: compiled once and cached, so that a walk itself is little to compile."""


def number_expression(member: FieldLayout | None, base: str, constants: dict[str, int]) -> str:
    """Source text that loads a member of a header or of dimensions at the address `base`."""
    assert member is not None
    if member.presence == "constant":
        return str(constants[member.name])
    return f"load_number({base} + {member.offset}, {member.primitive.size}, {member.byte_order == 'big'})"


def level_members(layout: MessageLayout | GroupLayout) -> Members:
    """Groups and data in the order in which they lie."""
    return (*layout.groups, *layout.data)


class Walk:
    """The walk over one level, and over the levels of its groups (`children`, by member number).

    `compiler` makes a Numba dispatcher of a function; it belongs to who keeps the compiled code, because a cache keyed
    by source files cannot tell one generated walk from another.
    """

    def __init__(self, layout: MessageLayout | GroupLayout, compiler: Callable[[Any], Any]) -> None:
        self._compiler = compiler
        self.layout = layout
        self.members = level_members(layout)
        self.children = {
            n: Walk(each, compiler) for n, each in enumerate(self.members) if isinstance(each, GroupLayout)
        }
        self.source = self._source()

    def _source(self) -> str:
        lines = ["position = tail"]
        for number, member in enumerate(self.members):
            lines += [f"if stop == {number}:", "    return position"]
            body = self._group(number, member) if isinstance(member, GroupLayout) else self._data(member)
            if member.since_version > 0:
                lines.append(f"if version >= {member.since_version}:")
                body = [f"    {line}" for line in body]
            lines += body
        lines.append("return position")
        return "def walk(tail, limit, version, stop):\n" + "".join(f"    {line}\n" for line in lines)

    def _group(self, number: int, group: GroupLayout) -> list[str]:
        dimensions = group.dimensions
        count = dimensions.member("numInGroup")
        assert count is not None
        low, high = count.count_limits
        block = dimensions.member("blockLength")
        lines = [
            f"if limit - position < {dimensions.size}:",
            f"    return {MALFORMED}",
            f"block = {number_expression(block, 'position', dimensions.constants)}",
            f"count = {number_expression(count, 'position', dimensions.constants)}",
            f"position += {dimensions.size}",
            *minimum_lines(group.fields),
            f"if not check_entries(position, limit, block, count, minimum, {low}, {min(high, HIGHEST)}):",
            f"    return {MALFORMED}",
        ]
        child = self.children[number]
        if not child.members:
            return [*lines, "position += count * block"]
        return [
            *lines,
            "for _ in range(count):",
            "    if limit - position < block:",
            f"        return {MALFORMED}",
            f"    position = walk_{number}(position + block, limit, version, {len(child.members)})",
            "    if position < 0:",
            f"        return {MALFORMED}",
        ]

    def _data(self, data: DataLayout) -> list[str]:
        length = data.length_field
        place = f"{length.offset}, {length.primitive.size}, {length.byte_order == 'big'}, {length.end}"
        return [
            f"position = skip_data(position, limit, {place}, {min(length.count_limits[1], HIGHEST)})",
            "if position < 0:",
            f"    return {MALFORMED}",
        ]

    def _function(self, scope: dict[str, Any]) -> Any:
        scope |= {"__name__": __name__}
        exec(self.source, scope)
        return scope["walk"]

    @cached_property
    def plain(self) -> Any:
        """The walk as plain Python."""
        children = {f"walk_{number}": child.plain for number, child in self.children.items()}
        return self._function({name: plain(each) for name, each in HELPERS.items()} | children)

    @cached_property
    def compiled(self) -> Any:
        """The walk as a Numba dispatcher."""
        children = {f"walk_{n}": child.compiled for n, child in self.children.items() if child.members}
        return self._compiler(self._function(HELPERS | children))


def minimum_lines(fields: tuple[FieldLayout, ...]) -> list[str]:
    """Source that sets `minimum` to the least block length of messages of `version`."""
    lines = [f"minimum = {minimum_block_length(fields, 0)}"]
    for since in sorted({each.since for each in fields if each.since > 0}):
        lines += [f"if version >= {since}:", f"    minimum = {minimum_block_length(fields, since)}"]
    return lines
