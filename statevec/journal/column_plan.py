"""`ColumnPlan`: which parts of entries become rows, and the memory of those rows, for the entries of one logic version.

    Part(INPUTS, template id, bytes of the block)     a row for each message of that template
    Part(CHANGES, table number, bytes of the record)  a row for each delta record of that table
    Part(ENTRIES)                                     a row for each entry

`walk` feeds the entries of a journal to the plan of whoever decided them, and hands out filled plans.

Invariants
    Rows come in the order of the entries. Every entry from the first to the last wanted is in exactly one plan.
    The walk ends where what was written ends, at `limit`, or with `JournalDamagedError` where durable bytes are
    damaged; what came before the damage was handed out.

Private memory of who gathers, used again for the next rows. A crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from statevec.codecs.schema import Schema
from statevec.ipc.memory import Region
from statevec.journal import column_layout as layout
from statevec.journal import reader_layout
from statevec.journal.column_kernels import FULL, OTHER_VERSION, PAST_LAST, gather
from statevec.journal.decode import own_schema
from statevec.journal.entry_layout import ENTRY_HEADER_SIZE, LOGIC_VERSION
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import NO_LIMIT, JournalReader
from statevec.journal.reader_kernels import END_OF_RANGE, next_entry
from statevec.state.records import align

ROOM = 1 << 13
"""Rows after which a plan is handed out, when nobody says otherwise."""


@dataclass(frozen=True)
class Part:
    """A kind of part (`column_layout`), which one of it, and how many bytes of it are kept."""

    kind: int
    id: int = 0
    body: int = 0


def fits_plan(part: Part) -> bool:
    """Whether a plan can tell the part by its number: templates and tables up to 65,535."""
    return 0 <= part.id < layout.LOOKUP_IDS


def describe_schema(block: Region, at: int, schema: Schema) -> None:
    """Say in a block (`column_layout`, schema) where the members of a schema's message header are."""
    header = schema.header
    block.store_i64(at + layout.HEADER_SIZE, header.size)
    block.store_i64(at + layout.SCHEMA_ID, schema.id)
    block.store_i64(at + layout.BIG_ENDIAN, int(schema.byte_order == "big"))
    for number, name in enumerate(("blockLength", "templateId", "schemaId", "version")):
        member = header.member(name)
        assert member is not None
        constant = member.presence == "constant"
        value = (schema.id if name == "schemaId" else int(member.constant or 0)) if constant else member.offset
        place = at + layout.MEMBERS + number * layout.MEMBER_SIZE
        block.store_i32(place, value)
        block.store_i32(place + 4, 0 if constant else member.primitive.size)


class ColumnPlan:
    """The parts wanted of entries that the version numbered `logic_version` decided, and their rows."""

    def __init__(
        self, logic_version: int, schema: Schema | None, parts: Sequence[Part], room: int = ROOM, last: int = NO_LIMIT
    ) -> None:
        self.logic_version = logic_version
        self.parts = list(parts)
        self.block = Region.allocate(layout.PLAN_SIZE)
        self._memory: list[Region] = []
        self.block.store_i64(layout.LOGIC_VERSION, logic_version)
        self.block.store_i64(layout.LAST_SEQUENCE, last)
        if schema is not None:
            describe_schema(self.block, layout.PLUGIN_SCHEMA, schema)
        describe_schema(self.block, layout.OWN_SCHEMA, own_schema())
        if len(self.parts) > layout.MOST_DESTINATIONS:
            raise ValueError(f"too many parts: parts={len(self.parts)} max={layout.MOST_DESTINATIONS}")
        self.block.store_i64(layout.DESTINATIONS, len(self.parts))
        for number, part in enumerate(self.parts):
            self._add(number, part, room)

    def _add(self, number: int, part: Part, room: int) -> None:
        if not fits_plan(part):
            raise ValueError(f"part has too high a number: kind={part.kind} id={part.id} max={layout.LOOKUP_IDS - 1}")
        body = align(part.body, 8)
        slack = layout.MOST_PARTS if part.kind in (layout.OUTPUTS, layout.CHANGES) else 1
        memory = Region.allocate((room + slack) * (layout.ROW_BODY + body))
        self._memory.append(memory)
        place = layout.DESTINATIONS_AT + number * layout.DESTINATION_SIZE
        for offset, value in (
            (layout.PART_ID, part.id),
            (layout.BODY_SIZE, body),
            (layout.ROOM, room),
            (layout.ADDRESS, memory.address),
            (layout.MEMORY_SIZE, memory.size),
        ):
            self.block.store_i64(place + offset, value)
        self.block.store_i32(layout.LOOKUP_AT + (part.kind * layout.LOOKUP_IDS + part.id) * 4, number + 1)

    def _count_at(self, number: int) -> int:
        return layout.DESTINATIONS_AT + number * layout.DESTINATION_SIZE + layout.COUNT

    def rows(self, number: int) -> Any:
        """The rows of part `number`: an array (rows, bytes of a row) of uint8, worth something until `clear`."""
        memory, body = self._memory[number], align(self.parts[number].body, 8)
        size, count = layout.ROW_BODY + body, self.block.load_i64(self._count_at(number))
        return np.frombuffer(memory.view, np.uint8, count * size).reshape(count, size)

    @property
    def is_empty(self) -> bool:
        """Whether no part has a row."""
        return not any(self.block.load_i64(self._count_at(number)) for number in range(len(self.parts)))

    def clear(self) -> None:
        """Forget all rows: the memory is used again."""
        for number in range(len(self.parts)):
            self.block.store_i64(self._count_at(number), 0)
        self.block.store_i64(layout.FULL, 0)


def version_at(reader: JournalReader, cursor: Region) -> int | None:
    """Who decided the entry at the cursor, which stays there; None where no whole entry follows."""
    looking = Region.allocate(reader_layout.CURSOR_SIZE)
    looking.copy_from(0, cursor, 0, reader_layout.CURSOR_SIZE)
    while (segment := reader.segment_at(looking.load_i64(reader_layout.POSITION))) is not None:
        region = reader.region(segment)
        offset = next_entry(region, segment.first, looking)
        if offset >= 0:
            return region.load_i32(offset + LOGIC_VERSION)
        if offset != END_OF_RANGE or looking.load_i64(reader_layout.POSITION) >= looking.load_i64(reader_layout.LIMIT):
            break
    cursor.store_i64(reader_layout.CODE, looking.load_i64(reader_layout.CODE))
    return None


@dataclass
class Walk:
    """A walk over entries from `cursor` on, for columns: `plans` gives the plan for a logic version, always the
    same.
    """

    reader: JournalReader
    cursor: Region
    plan_of: Callable[[int], ColumnPlan]
    on_decider: Callable[[Entry], object] = lambda entry: None
    """Called with each leadership and cutover entry, before a plan for who decides then is asked for."""

    def filled(self) -> Iterator[ColumnPlan]:
        """Plans with rows, one after the other; each is cleared when the next is asked for. Ends where nothing follows.

        Raises nothing for damage: `judge` says whether the end is one.
        """
        plan = self._next_plan()
        while plan is not None:
            answer = self._fill(plan)
            if not plan.is_empty:
                yield plan
                plan.clear()
            if answer == OTHER_VERSION:
                plan = self._next_plan()
            elif answer != FULL:
                return

    def _next_plan(self) -> ColumnPlan | None:
        version = version_at(self.reader, self.cursor)
        return None if version is None else self.plan_of(version)

    def _fill(self, plan: ColumnPlan) -> int:
        """Gather until the plan is full, another version decides, or nothing follows: then PAST_LAST."""
        while True:
            position = self.cursor.load_i64(reader_layout.POSITION)
            segment = self.reader.segment_at(position)
            if segment is None or position >= self.cursor.load_i64(reader_layout.LIMIT):
                return PAST_LAST
            region = self.reader.region(segment)
            answer = gather(region, segment.first, self.cursor, plan.block)
            if answer >= 0:
                self.on_decider(Entry(region.view[answer:]))
            elif answer != END_OF_RANGE:
                return answer if answer in (FULL, OTHER_VERSION) else PAST_LAST

    def judge(self, limit: int | None = None) -> None:
        """Raise `JournalDamagedError` when the walk has ended where damage begins; `limit` is known to be whole."""
        position = self.cursor.load_i64(reader_layout.POSITION)
        if limit is None:
            self.reader.judge(self.cursor)
        elif position < limit and position < self.reader.end_of_files:
            sequence = self.cursor.load_i64(reader_layout.SEQUENCE) + 1
            raise JournalDamagedError(position, sequence, limit, self.reader._reason(self.cursor))


assert layout.ROW_PART == ENTRY_HEADER_SIZE
