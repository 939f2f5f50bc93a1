"""Layout of the rows that entries are gathered into, and of the plan that says which parts of entries become rows.

A row is one part of one entry: the entry itself, its input, one of its outputs, one record of its delta.

    0     the entry's header as it is (`entry_layout`), 128 bytes
    128   of a message:  int64 block length as the message says it | its schema version | index | expires_ns
          of a record:   the header of its delta record as it is (`delta_layout`)
          of an entry:   int64 template id of its input, OWN_TEMPLATES more where that is of the project's own schema;
                         -1 for an input that is no message of its schema, or none
    160   the message's block, or the record's image; what a shorter block lacks is zero

The plan is one block, int64 each unless said otherwise:

    0     logic version that the parts belong to, 0 any
    8     last sequence wanted
    16    1 when a destination may not have room for another entry
    24    number of destinations
    32    schema of the plugin: SCHEMA_SIZE bytes; then the project's own
    256   destinations, DESTINATION_SIZE each: id of a part, bytes of its body, rows after which it is full, rows in it,
          address, bytes
    ...   then, for each kind of part, LOOKUP_IDS int32: number of the destination + 1 by template or table, 0 none

    schema: int64 size of its header, schema id, 1 for big endian; then for blockLength, templateId, schemaId, version:
            int32 offset (or the value, of a constant), int32 size (0 of a constant)

Private memory of who gathers. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.log_layout import MAX_ENTRY
from statevec.journal.entry_layout import DELTA_IMAGE, ENTRY_HEADER_SIZE

ROW_PART = ENTRY_HEADER_SIZE
ROW_BLOCK_LENGTH = 128
ROW_SCHEMA_VERSION = 136
ROW_INDEX = 144
ROW_EXPIRES_NS = 152
ROW_BODY = 160
ROW_TEMPLATE = 128
OWN_TEMPLATES = 1 << 16
assert ROW_PART + DELTA_IMAGE == ROW_BODY

ENTRIES = 0
INPUTS = 1
OWN_INPUTS = 2
OUTPUTS = 3
CHANGES = 4
PART_KINDS = 5
"""Inputs of the plugin's schema; inputs of the project's own, which the engine writes itself."""

LOGIC_VERSION = 0
LAST_SEQUENCE = 8
FULL = 16
DESTINATIONS = 24
PLUGIN_SCHEMA = 32
HEADER_SIZE = 0
SCHEMA_ID = 8
BIG_ENDIAN = 16
MEMBERS = 24
MEMBER_SIZE = 8
BLOCK_LENGTH, TEMPLATE_ID, SCHEMA_ID_MEMBER, VERSION = range(4)
SCHEMA_SIZE = 64
OWN_SCHEMA = PLUGIN_SCHEMA + SCHEMA_SIZE
DESTINATIONS_AT = 256
DESTINATION_SIZE = 64
PART_ID = 0
BODY_SIZE = 8
ROOM = 16
COUNT = 24
ADDRESS = 32
MEMORY_SIZE = 40
MOST_DESTINATIONS = 512
LOOKUP_AT = DESTINATIONS_AT + MOST_DESTINATIONS * DESTINATION_SIZE
LOOKUP_IDS = 1 << 16
PLAN_SIZE = LOOKUP_AT + PART_KINDS * LOOKUP_IDS * 4

MOST_PARTS = MAX_ENTRY // 24 + 1
"""More parts of one kind than an entry can have: the smallest output takes 24 bytes."""

assert OWN_SCHEMA + SCHEMA_SIZE <= DESTINATIONS_AT and MEMBERS + 4 * MEMBER_SIZE <= SCHEMA_SIZE
