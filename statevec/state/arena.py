"""The arena as a whole: from table specifications to places, an empty arena, and the check that memory holds one.

`ArenaLayout(specifications)` computes where everything lies (`arena_layout` has the picture); nothing of it depends on
where the memory is, so that an image can be mapped anywhere and compared byte by byte.

Invariants
    Equal specifications give equal layouts, equal hashes and, formatted, equal bytes.
    Table n of the directory is specification n.

Python code calls this when a process starts, never while the loop runs. A crash while formatting leaves private memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from statevec.ipc.memory import Region
from statevec.state import arena_layout as layout
from statevec.state.errors import ArenaMismatchError
from statevec.state.records import SpecificationError, TableSpec, align
from statevec.state.transaction_layout import MAX_TABLES

INDEX_KIND_CODES = {"key": layout.KEY, "unique": layout.UNIQUE, "group": layout.GROUP, "ordered": layout.ORDERED}


@dataclass(frozen=True)
class IndexLayout:
    """Where an index is: `at` its description, `field` and `links` in a row, `buckets` in the arena (0: none)."""

    number: int
    kind: int
    field_name: str
    at: int
    field: int
    field_kind: int
    links: int
    chain: int
    buckets: int
    mask: int


@dataclass(frozen=True)
class TableLayout:
    """Where a table is: number, `at` its description, rows [rows, rows_end), `linked` bits in a row, its indexes."""

    spec: TableSpec
    number: int
    at: int
    rows: int
    rows_end: int
    row_size: int
    linked: int
    indexes: tuple[IndexLayout, ...]
    end: int

    def row(self, number: int) -> int:
        """The row (offset in the arena) of row number `number`, as deltas count them, from 0."""
        return self.rows + number * self.row_size

    def index_number(self, kind: str, field: str) -> int:
        """The number of an index, as the kernels take it."""
        return self.spec.index_number(kind, field)

    @property
    def description(self) -> list[tuple[int, int]]:
        """The constant words of the table's description: (offset in the arena, value)."""
        index_bits = sum(1 << index.number for index in self.indexes[1:])
        words = [
            (layout.TABLE_CAPACITY, self.spec.capacity),
            (layout.TABLE_ROW_SIZE, self.row_size),
            (layout.TABLE_FIELDS_SIZE, self.spec.record.size),
            (layout.TABLE_ROWS, self.rows),
            (layout.TABLE_ROWS_END, self.rows_end),
            (layout.TABLE_FLAGS, layout.IN_DELTA if self.spec.in_delta else 0),
            (layout.TABLE_INDEX_COUNT, len(self.indexes)),
            (layout.TABLE_INDEX_BITS, index_bits),
            (layout.TABLE_ROW_RECIPROCAL, -(-(1 << layout.ROW_NUMBER_SHIFT) // (self.row_size // 8))),
        ]
        made = [(self.at + offset, value) for offset, value in words]
        for index in self.indexes:
            made += [
                (index.at + layout.INDEX_KIND, index.kind),
                (index.at + layout.INDEX_FIELD, index.field),
                (index.at + layout.INDEX_FIELD_KIND, index.field_kind),
                (index.at + layout.INDEX_BUCKETS, index.buckets),
                (index.at + layout.INDEX_MASK, index.mask),
                (index.at + layout.INDEX_LINKS, index.links),
                (index.at + layout.INDEX_CHAIN, index.chain),
            ]
        return made


def _chain(kind: int, links: int) -> int:
    if kind == layout.ORDERED:
        return 0
    return links + (layout.GROUP_CHAIN if kind == layout.GROUP else layout.CHAIN)


def lay_out_table(spec: TableSpec, number: int, start: int) -> TableLayout:
    """The layout of table `number` whose first part starts at or behind `start`."""
    if len(spec.indexes) > layout.MAX_INDEXES:
        raise SpecificationError(f"too many indexes: table={spec.name!r} max={layout.MAX_INDEXES}")
    at = layout.DIRECTORY + number * layout.TABLE_SIZE
    linked = layout.ROW_HEADER_SIZE + spec.record.size
    links = linked + layout.LINKED_SIZE
    places = []
    for index in spec.indexes:
        places.append(links)
        links += layout.LINKS_SIZE[INDEX_KIND_CODES[index.kind]]
    row_size = align(links, 8)
    rows = align(start, layout.PART_ALIGNMENT)
    rows_end = rows + spec.capacity * row_size
    end = rows_end
    bucket_count = 1 << (spec.capacity - 1).bit_length()
    indexes = []
    for place, index in enumerate(spec.indexes):
        kind = INDEX_KIND_CODES[index.kind]
        field = spec.record.field(index.field)
        buckets = 0
        if kind != layout.ORDERED:
            buckets = align(end, layout.PART_ALIGNMENT)
            end = buckets + bucket_count * layout.LINK_SIZE
        indexes.append(
            IndexLayout(
                number=place,
                kind=kind,
                field_name=index.field,
                at=at + layout.TABLE_INDEXES + place * layout.INDEX_SIZE,
                field=layout.ROW_HEADER_SIZE + field.offset,
                field_kind=field.code,
                links=places[place],
                chain=_chain(kind, places[place]),
                buckets=buckets,
                mask=bucket_count - 1 if buckets else 0,
            )
        )
    return TableLayout(spec, number, at, rows, rows_end, row_size, linked, tuple(indexes), end)


class ArenaLayout:
    """Where everything in an arena of these tables lies.

    `size` in bytes, `hash` (hex) of all that determines it, `tables` by name in the order of their numbers.
    """

    def __init__(self, specifications: Sequence[TableSpec]) -> None:
        if len(specifications) > MAX_TABLES:
            raise SpecificationError(f"too many tables: tables={len(specifications)} max={MAX_TABLES}")
        self.tables: dict[str, TableLayout] = {}
        end = layout.DIRECTORY + len(specifications) * layout.TABLE_SIZE
        for number, spec in enumerate(specifications):
            if spec.name in self.tables:
                raise SpecificationError(f"two tables of one name: table={spec.name!r}")
            self.tables[spec.name] = lay_out_table(spec, number, end)
            end = self.tables[spec.name].end
        self.size = align(end, layout.DIRECTORY)
        if self.size > layout.MAX_ARENA_SIZE:
            raise SpecificationError(f"arena too large: size={self.size} max={layout.MAX_ARENA_SIZE}")
        self.hash = self._hash()

    def _hash(self) -> str:
        digest = hashlib.blake2b(digest_size=layout.HASH_SIZE)
        digest.update(repr((layout.LAYOUT_VERSION, self.size)).encode())
        for table in self.tables.values():
            digest.update(repr((table.spec.name, table.spec.record.hash, table.description)).encode())
        return digest.hexdigest()

    @property
    def _words(self) -> list[tuple[str, int, int]]:
        """The constant words of header and directory: (what, offset, value)."""
        words = [
            ("magic", layout.HEADER_MAGIC, layout.MAGIC),
            ("layout version", layout.HEADER_VERSION, layout.LAYOUT_VERSION),
            ("tables", layout.HEADER_TABLES, len(self.tables)),
            ("size", layout.HEADER_SIZE, self.size),
        ]
        for name, table in self.tables.items():
            words += [
                (f"description of table {name!r}, +{at - table.at}", at, value) for at, value in table.description
            ]
        return words

    def format(self, region: Region) -> None:
        """Make an empty arena of `region`, whatever it held; all of it is written, so all of it is in memory."""
        if region.size != self.size:
            raise ArenaMismatchError(f"wrong size for an arena: region={region.size} arena={self.size}")
        region.fill_zero(0, region.size)
        for _, offset, value in self._words:
            region.store_i64(offset, value)
        region.copy_from(layout.HEADER_HASH, Region.of(bytes.fromhex(self.hash)), 0, layout.HASH_SIZE)
        for table in self.tables.values():
            region.store_i64(table.at + layout.TABLE_NEVER_USED, table.rows)

    def check(self, region: Region) -> None:
        """Raise `ArenaMismatchError`, naming what differs, unless `region` holds an arena of this layout."""
        if region.size != self.size:
            raise ArenaMismatchError(
                f"not an arena of this layout: size differs: found={region.size} wants={self.size}"
            )
        for what, offset, value in self._words:
            found = region.load_i64(offset)
            if found != value:
                raise ArenaMismatchError(f"not an arena of this layout: {what} differs: found={found} wants={value}")
        found_hash = bytes(region.view[layout.HEADER_HASH : layout.HEADER_HASH + layout.HASH_SIZE]).hex()
        if found_hash != self.hash:
            raise ArenaMismatchError(f"not an arena of this layout: hash differs: found={found_hash} wants={self.hash}")


def digest_of(region: Region) -> str:
    """Hash (hex) of an arena's bytes, to compare images between transactions."""
    return hashlib.blake2b(region.view, digest_size=16).hexdigest()
