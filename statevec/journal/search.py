"""`Search`: finds entries that carry a value, by kind of part and field, through all versions that decided; natively.

    search = Search(reader, needles_of)
    search.forward(position)          finds from there to the end, or until there is no room
    search.backward(position)         the last find before a position, unit by unit

`needles_of(logic version)` says what to look for in entries of that version.

Invariants
    A find names an entry whose frame is sound; read it with `JournalReader.read`, which checks its hash.
    `forward` ends where what was written ends, or raises `JournalDamagedError` where durable bytes are damaged.
    `backward` goes on below damage: `damage` is then the lowest one that it passed.
    Every hash on the way is checked in both.

Private memory. A crash leaves nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from statevec.codecs.schema import Schema
from statevec.ipc.memory import Region
from statevec.journal import reader_layout
from statevec.journal import search_layout as layout
from statevec.journal.column_plan import describe_schema
from statevec.journal.decode import own_schema
from statevec.journal.errors import JournalDamagedError, JournalError
from statevec.journal.reader import JournalReader, make_cursor
from statevec.journal.reader_kernels import END_OF_RANGE
from statevec.journal.search_kernels import NO_ROOM, UNKNOWN_VERSION, search

ROOM = 1 << 16


@dataclass(frozen=True)
class Needle:
    """A value to look for: in which part (`column_layout`), of which template or table, at which offset of its body."""

    kind: int
    id: int
    offset: int
    content: bytes
    """The field's bytes, 1, 2, 4 or 8 of them."""

    @property
    def word(self) -> int:
        """The bytes as the kernels compare them."""
        return int.from_bytes(self.content, "little", signed=len(self.content) == 8)


@dataclass(frozen=True)
class Needles:
    """What to look for in the entries of one version; `schema` is its own, None where it cannot be read."""

    schema: Schema | None
    needles: Sequence[Needle]


@dataclass(frozen=True)
class Find:
    """Where a value was found: in which entry, in which kind of part, in the how manyth of that kind."""

    position: int
    sequence: int
    kind: int
    index: int


class Search:
    """Searches the journal of `reader`; see the module's docstring."""

    def __init__(self, reader: JournalReader, needles_of: Callable[[int], Needles], room: int = ROOM) -> None:
        self._reader = reader
        self._needles_of = needles_of
        self._used = 0
        self.damage: JournalDamagedError | None = None
        self._block = Region.allocate(layout.FINDS_AT + room * layout.FIND_SIZE)
        self._block.store_i64(layout.ROOM, room)
        describe_schema(self._block, layout.OWN_SCHEMA, own_schema())

    def _describe(self, version: int) -> None:
        """Tell the kernel what to look for in a version's entries."""
        if not 0 <= version < layout.MOST_VERSIONS:
            raise JournalError(
                f"too many logic versions to search: logic_version={version} max={layout.MOST_VERSIONS - 1}"
            )
        wanted = self._needles_of(version)
        if self._used + len(wanted.needles) > layout.MOST_NEEDLES:
            raise JournalError(f"too many fields to search: fields={len(wanted.needles)} max={layout.MOST_NEEDLES}")
        place = layout.VERSIONS_AT + version * layout.VERSION_SIZE
        if wanted.schema is not None:
            describe_schema(self._block, place + layout.SCHEMA, wanted.schema)
        for number, needle in enumerate(wanted.needles):
            values = struct.pack("<qqqqq", needle.kind, needle.id, needle.offset, len(needle.content), needle.word)
            at = layout.NEEDLES_AT + (self._used + number) * layout.NEEDLE_SIZE
            self._block.view[at : at + len(values)] = values
        self._block.store_i32(place + layout.NEEDLE_COUNT, len(wanted.needles))
        self._block.store_i32(place + layout.FIRST_NEEDLE, self._used + 1)
        self._used += len(wanted.needles)

    def _run(self, cursor: Region) -> bool:
        """Search from the cursor to its limit; False when there is no room for more."""
        while True:
            position = cursor.load_i64(reader_layout.POSITION)
            segment = self._reader.segment_at(position)
            if segment is None or position >= cursor.load_i64(reader_layout.LIMIT):
                return True
            answer = search(self._reader.region(segment), segment.first, cursor, self._block)
            if answer == UNKNOWN_VERSION:
                self._describe(self._block.load_i64(layout.UNKNOWN))
            elif answer == NO_ROOM:
                return False
            elif answer != END_OF_RANGE:
                return True

    def _finds(self) -> list[Find]:
        count = self._block.load_i64(layout.FOUND)
        content = self._block.view[layout.FINDS_AT : layout.FINDS_AT + count * layout.FIND_SIZE]
        return [Find(*values) for values in struct.iter_unpack("<qqqq", content)]

    def forward(self, position: int) -> tuple[list[Find], bool]:
        """Finds from the entry at `position` on, and whether these are all: False when there was no room for more."""
        self._block.store_i64(layout.FOUND, 0)
        self._block.store_i64(layout.KEEP_LAST, 0)
        cursor = make_cursor(position, self._reader.unit)
        complete = self._run(cursor)
        if complete:
            self._reader.judge(cursor)
            damage = self._reader.damage_between(position, cursor.load_i64(reader_layout.POSITION))
            if damage is not None:
                raise damage
        return self._finds(), complete

    def backward(self, before: int, down_to: int = 0) -> Find | None:
        """The last find in entries that begin before position `before` and not below `down_to`, None without one.

        Units that are damaged are passed over: what is there of them was searched, and `damage` says so.
        """
        self._block.store_i64(layout.KEEP_LAST, 1)
        unit, start = self._reader.unit, max(down_to, self._reader.first_position)
        low = (before - 1) & -unit
        while before > start:
            self._block.store_i64(layout.FOUND, 0)
            self._run(make_cursor(max(low, start), unit, before))
            self.damage = self._reader.damage_between(max(low, start), before) or self.damage
            if self._block.load_i64(layout.FOUND):
                return self._finds()[0]
            before, low = low, low - unit
        return None
