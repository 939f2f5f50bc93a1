"""Layout of the inputs that the engine writes itself: SBE messages of the project's own schema (`statevec.xml`).

Each is the input of an entry of its own kind: SBE header (8 B), then the block. Offsets count from the header's first
byte.

    LEADERSHIP (template 2)       RING_ATTACH (3)            RING_QUARANTINE (4)      TIMER (5)
    8    int64 epoch              8   int64 ring instance    8   int64 ring instance  8   int64 timer id
    16   int64 instance id        16  int64 source           16  int64 source         16  int64 deadline_ns
    24   int64 wall clock, ns     24  char[32] ring name     24  int64 position
    32   int64 UNIT                                          32  int64 reason (a ring code)
    40   int64 MAX_ENTRY
    48   int64 MAX_INPUT
    56   int64 loop budget of a handler
    64   int64 logic version
    72   int64 durability (0 memory, 1 disk)
    80   char[16] engine version
    96   char[32] plugin name
    128  char[16] plugin version
    144  char[64] content hash, hex

The engine process writes them, before its loop starts or in the loop; everybody reads them.
"""

from __future__ import annotations

import struct

from statevec.journal.entry_layout import SCHEMA_ID, SCHEMA_VERSION

LEADERSHIP_TEMPLATE = 2
RING_ATTACH_TEMPLATE = 3
RING_QUARANTINE_TEMPLATE = 4
TIMER_TEMPLATE = 5

BLOCK = 8
LEADERSHIP_LOOP_BUDGET = 56
RING_INSTANCE = 8
RING_SOURCE = 16
RING_NAME = 24
QUARANTINE_POSITION = 24
QUARANTINE_REASON = 32
TIMER_ID = 8
TIMER_DEADLINE_NS = 16

LEADERSHIP_FORMAT = struct.Struct("<9q16s32s16s64s")
RING_ATTACH_FORMAT = struct.Struct("<2q32s")
RING_QUARANTINE_FORMAT = struct.Struct("<4q")
TIMER_FORMAT = struct.Struct("<2q")

TIMER_LENGTH = BLOCK + TIMER_FORMAT.size
QUARANTINE_LENGTH = BLOCK + RING_QUARANTINE_FORMAT.size


def sbe_header(template: int, block_length: int) -> int:
    """The eight header bytes of a message of the project's schema, as one little-endian integer."""
    return block_length | template << 16 | SCHEMA_ID << 32 | SCHEMA_VERSION << 48


TIMER_SBE_HEADER = sbe_header(TIMER_TEMPLATE, TIMER_FORMAT.size)
QUARANTINE_SBE_HEADER = sbe_header(RING_QUARANTINE_TEMPLATE, RING_QUARANTINE_FORMAT.size)


def leadership(
    *,
    epoch: int,
    instance_id: int,
    wall_clock_ns: int,
    limits: tuple[int, int, int, int],
    logic_version: int,
    durability: int,
    engine_version: str,
    plugin_name: str,
    plugin_version: str,
    content_hash: str,
) -> bytes:
    """Input of a leadership entry; `limits` are UNIT, MAX_ENTRY and MAX_INPUT in bytes, and the loop budget."""
    texts = (engine_version, plugin_name, plugin_version, content_hash)
    for text, size in zip(texts, (16, 32, 16, 64), strict=True):
        if len(text.encode()) > size:
            raise ValueError(f"too long for a leadership entry: {text!r} has more than {size} bytes")
    block = LEADERSHIP_FORMAT.pack(
        epoch,
        instance_id,
        wall_clock_ns,
        *limits,
        logic_version,
        durability,
        *(text.encode() for text in texts),
    )
    return sbe_header(LEADERSHIP_TEMPLATE, len(block)).to_bytes(8, "little") + block


def ring_attach(ring_instance: int, source: int, name: str) -> bytes:
    """Input of the entry that makes a ring a source; `name` has at most 32 bytes."""
    block = RING_ATTACH_FORMAT.pack(ring_instance, source, name.encode())
    return sbe_header(RING_ATTACH_TEMPLATE, len(block)).to_bytes(8, "little") + block


assert LEADERSHIP_FORMAT.size == 200 and BLOCK + RING_ATTACH_FORMAT.size == RING_NAME + 32
