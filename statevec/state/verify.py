"""Full structural check of an arena between transactions, for tests, tools and whoever doubts an image.

Checked: header and directory against the layout; every row free or used, none touched; the free list holds exactly the
free rows that were used before; free rows are zero; each index holds exactly the rows in use, each in its place: chains
in their buckets, values once, lists linked both ways, trees ordered by value and by priority.

Invariants
    Nothing is written. Every walk is bounded by the rows in use: damaged links end in an error, not in a loop.
    A message says table, rule and values.

Written in Python over `Region`s on purpose: it shares only `arena_layout` and `spread` with the kernels that it checks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.state import arena_layout as layout
from statevec.state.arena import ArenaLayout, IndexLayout, TableLayout
from statevec.state.errors import ArenaDamageError
from statevec.state.words import load_word, spread

_spread = plain(spread)
_load_word = plain(load_word)


def verify(arena_layout: ArenaLayout, region: Region) -> None:
    """Raise `ArenaMismatchError` or `ArenaDamageError` unless `region` is a sound arena of that layout."""
    arena_layout.check(region)
    for table in arena_layout.tables.values():
        _TableCheck(region, table).run()


class _TableCheck:
    """The check of one table."""

    def __init__(self, region: Region, table: TableLayout) -> None:
        self.region = region
        self.table = table
        self.never_used = region.load_i64(table.at + layout.TABLE_NEVER_USED)
        self.used: set[int] = set()
        self.free: set[int] = set()

    def fail(self, rule: str, **values: int) -> ArenaDamageError:
        shown = " ".join(f"{name}={value}" for name, value in values.items())
        return ArenaDamageError(f"damaged arena: table={self.table.spec.name!r} {rule}: {shown}")

    def run(self) -> None:
        table = self.table
        inside = table.rows <= self.never_used <= table.rows_end
        if not inside or (self.never_used - table.rows) % table.row_size:
            raise self.fail("first row never used is no row", row=self.never_used)
        self.check_rows()
        self.check_free_list()
        for index in table.indexes:
            if index.kind == layout.ORDERED:
                self.check_ordered(index)
            else:
                self.check_chains(index)

    def check_rows(self) -> None:
        bits = sum(1 << index.number for index in self.table.indexes[1:])
        for row in range(self.table.rows, self.never_used, self.table.row_size):
            status = self.region.load_i32(row + layout.ROW_STATUS)
            touched = self.region.load_i32(row + layout.ROW_TOUCHED)
            linked = self.region.load_i32(row + self.table.linked)
            if touched:
                raise self.fail("row is touched, but no transaction runs", row=row, touched=touched)
            if status == layout.USED and linked != bits:
                raise self.fail("row is not in all indexes", row=row, linked=linked, wants=bits)
            if status == layout.FREE:
                self.free.add(row)
            elif status == layout.USED:
                self.used.add(row)
            else:
                raise self.fail("status is unknown", row=row, status=status)
        count = self.region.load_i64(self.table.at + layout.TABLE_ROW_COUNT)
        if count != len(self.used):
            raise self.fail("row count is wrong", found=count, wants=len(self.used))
        if np.frombuffer(self.region.view[self.never_used : self.table.rows_end], np.uint8).any():
            raise self.fail("a row that was never used is not zero", first=self.never_used)

    def check_free_list(self) -> None:
        chain = self.table.indexes[0].chain
        row = self.region.load_i64(self.table.at + layout.TABLE_FREE_HEAD)
        seen: set[int] = set()
        while row:
            if row not in self.free or row in seen:
                raise self.fail("free list leads to a row that is not free, or twice to one", row=row)
            seen.add(row)
            content = bytes(self.region.view[row : row + self.table.row_size])
            if any(content[:chain]) or any(content[chain + layout.LINK_SIZE :]):
                raise self.fail("free row is not zero", row=row)
            row = self.link(row + chain)
        if seen != self.free:
            raise self.fail("free rows are missing in the free list", missing=len(self.free - seen))

    def link(self, offset: int) -> int:
        return self.region.load_u32(offset) << layout.LINK_SHIFT

    def value(self, index: IndexLayout, row: int) -> int:
        return int(_load_word(self.region, row + index.field, index.field_kind))

    def take(self, index: IndexLayout, row: int, seen: set[int]) -> None:
        if row not in self.used or row in seen:
            raise self.fail("index leads to a row that is free, or twice to one", index=index.number, row=row)
        seen.add(row)

    def ties(self, index: IndexLayout, first: int, seen: set[int]) -> None:
        """Take the rows behind `first`, all of its value."""
        value, previous, row = self.value(index, first), first, self.link(first + index.links + layout.NEXT)
        while row:
            self.take(index, row, seen)
            if self.value(index, row) != value:
                raise self.fail("row is in another value's list", index=index.number, row=row, value=value)
            if any(self.region.view[row + index.links + 8 : row + index.links + layout.LINKS_SIZE[index.kind]]):
                raise self.fail("row behind the first of its value has other links", index=index.number, row=row)
            if self.link(row + index.links + layout.PREVIOUS) != previous:
                raise self.fail("list is not linked both ways", index=index.number, row=row)
            previous, row = row, self.link(row + index.links + layout.NEXT)
        last = self.link(first + index.links + layout.PREVIOUS)
        if last != previous:
            raise self.fail("first row does not know the last", index=index.number, first=first, found=last)

    def check_chains(self, index: IndexLayout) -> None:
        seen: set[int] = set()
        values: set[int] = set()
        for bucket in range(index.mask + 1):
            row = self.link(index.buckets + bucket * layout.LINK_SIZE)
            while row:
                self.take(index, row, seen)
                value = self.value(index, row)
                if value in values or _spread(value) & index.mask != bucket:
                    raise self.fail("value is twice in its index, or in another bucket", row=row, value=value)
                values.add(value)
                if index.kind == layout.GROUP:
                    self.ties(index, row, seen)
                row = self.link(row + index.chain)
        self.check_complete(index, seen)

    def check_complete(self, index: IndexLayout, seen: set[int]) -> None:
        if seen != self.used:
            raise self.fail("index does not hold all rows", index=index.number, missing=len(self.used - seen))

    def nodes(self, index: IndexLayout, seen: set[int]) -> Iterator[int]:
        """The tree's nodes in order, each taken; children are checked against their parent's priority."""
        waiting: list[int] = []
        node = self.link(index.at + layout.INDEX_ROOT)
        while node or waiting:
            while node:
                self.take(index, node, seen)
                self.check_priority(index, node)
                waiting.append(node)
                node = self.link(node + index.links + layout.LEFT)
            node = waiting.pop()
            yield node
            node = self.link(node + index.links + layout.RIGHT)

    def check_priority(self, index: IndexLayout, node: int) -> None:
        priority = _spread(self.value(index, node))
        for side in (layout.LEFT, layout.RIGHT):
            child = self.link(node + index.links + side)
            if child and child in self.used and _spread(self.value(index, child)) > priority:
                raise self.fail("child's priority is above its parent's", index=index.number, row=child)

    def check_ordered(self, index: IndexLayout) -> None:
        seen: set[int] = set()
        before: int | None = None
        for node in self.nodes(index, seen):
            value = self.value(index, node)
            if before is not None and value <= before:
                raise self.fail("tree is out of order", index=index.number, row=node, value=value, before=before)
            before = value
            self.ties(index, node, seen)
        self.check_complete(index, seen)
