"""The digest of a plugin's tables in an arena: what a cutover entry says about the state that a migration made.

It covers, of each table behind the engine's own: records in use, first free row, and every byte of the rows that were
ever used, links included. So two arenas of one layout with equal digests go on in the same way.

Invariant: a function of the arena between transactions. Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.journal.fold import hash_bytes, mix
from statevec.state.arena_layout import (
    DIRECTORY,
    HEADER_TABLES,
    TABLE_FREE_HEAD,
    TABLE_NEVER_USED,
    TABLE_ROW_COUNT,
    TABLE_ROWS,
    TABLE_SIZE,
)
from statevec.state.undo import arena_of


@kernel
def plugin_tables_digest(tx: Region) -> int:
    """Digest of the plugin's tables in the arena of a transaction block; signed, 0 only by chance."""
    arena = arena_of(tx)
    digest = 0
    for table in range(FIRST_PLUGIN_TABLE, arena.load_i64(HEADER_TABLES)):
        description = DIRECTORY + table * TABLE_SIZE
        rows = arena.load_i64(description + TABLE_ROWS)
        digest = mix(digest, arena.load_i64(description + TABLE_ROW_COUNT))
        digest = mix(digest, arena.load_i64(description + TABLE_FREE_HEAD))
        digest = mix(digest, hash_bytes(arena, rows, arena.load_i64(description + TABLE_NEVER_USED) - rows, table))
    return digest
