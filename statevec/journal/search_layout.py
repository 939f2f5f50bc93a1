"""Layout of a search: which values of which fields are looked for in entries, and where they were found.

    0     what was found so far           8    how much there is room for
    16    1: only the last find is kept   24   the version that is not described yet (UNKNOWN_VERSION)
    64    the project's own schema, as in `column_layout`
    128   versions, VERSION_SIZE each, by their number in entries: int32 first needle + 1 (0 not described), int32 how
          many; at SCHEMA the plugin's schema, as in `column_layout`
    ...   needles, NEEDLE_SIZE each: kind of part, template or table, offset in block or image, bytes, the bytes as
          a word
    ...   finds, FIND_SIZE each: position of the entry, its sequence, kind of part, its index in the entry

    A word is the field's bytes, little-endian, seen as a signed integer: so byte order and sign do not matter.

Private memory of who searches. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.journal.column_layout import SCHEMA_SIZE

FOUND = 0
ROOM = 8
KEEP_LAST = 16
UNKNOWN = 24
OWN_SCHEMA = 64
VERSIONS_AT = OWN_SCHEMA + SCHEMA_SIZE
VERSION_SIZE = 128
FIRST_NEEDLE = 0
NEEDLE_COUNT = 4
SCHEMA = 16
MOST_VERSIONS = 1024
NEEDLES_AT = VERSIONS_AT + MOST_VERSIONS * VERSION_SIZE
NEEDLE_SIZE = 48
NEEDLE_KIND = 0
NEEDLE_ID = 8
NEEDLE_OFFSET = 16
NEEDLE_BYTES = 24
NEEDLE_WORD = 32
MOST_NEEDLES = 4096
FINDS_AT = NEEDLES_AT + MOST_NEEDLES * NEEDLE_SIZE
FIND_SIZE = 32
FIND_POSITION = 0
FIND_SEQUENCE = 8
FIND_KIND = 16
FIND_INDEX = 24

assert SCHEMA + SCHEMA_SIZE <= VERSION_SIZE
