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

    CUTOVER (6)                                      ADMIN (7), an operator's command
    8    int64 logic version that decides next       8    int64 command (ADMIN_COMMANDS)
    16   int64 logic version that decided            16   int64 sequence the cutover is to have, 0 the next
    24   int64 digest of the migrated tables, 0 none 24   int64 1 forced
    32   int64 cause (CUTOVER_CAUSES)                32   char[64] content hash of a version, or ring's name
    40   int64 entries on probation, 0 none          96   char[32] who
    48   int64 faults, rejections, invariant         128  char[64] why
           violations allowed on it, -1 any (3 x)    192  char[256] the engine's answer
    72   char[32] plugin name
    104  char[16] plugin version
    120  char[64] content hash, hex
    184  char[32] identity of the migration, hex, empty none

The engine process writes them, before its loop starts or in the loop; everybody reads them. An ADMIN command is written
by an operator's tool, all but the answer.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

from statevec.journal.entry_layout import SCHEMA_ID, SCHEMA_VERSION

LEADERSHIP_TEMPLATE = 2
RING_ATTACH_TEMPLATE = 3
RING_QUARANTINE_TEMPLATE = 4
TIMER_TEMPLATE = 5
CUTOVER_TEMPLATE = 6
ADMIN_TEMPLATE = 7

BLOCK = 8
LEADERSHIP_LOOP_BUDGET = 56
RING_INSTANCE = 8
RING_SOURCE = 16
RING_NAME = 24
QUARANTINE_POSITION = 24
QUARANTINE_REASON = 32
TIMER_ID = 8
TIMER_DEADLINE_NS = 16
CUTOVER_LOGIC_VERSION = 8
CUTOVER_STATE_DIGEST = 24
CUTOVER_PROBATION = 40
"""Four int64: entries, faults, rejections, violations."""
ADMIN_ANSWER = 192
ADMIN_ANSWER_SIZE = 256

LEADERSHIP_FORMAT = struct.Struct("<9q16s32s16s64s")
RING_ATTACH_FORMAT = struct.Struct("<2q32s")
RING_QUARANTINE_FORMAT = struct.Struct("<4q")
TIMER_FORMAT = struct.Struct("<2q")
CUTOVER_FORMAT = struct.Struct("<8q32s16s64s32s")
ADMIN_FORMAT = struct.Struct("<3q64s32s64s256s")

CUT_OVER = 1
ROLL_BACK = 2
HAND_OVER = 3
RELEASE_RING = 4
ADMIN_COMMANDS = {CUT_OVER: "cutover", ROLL_BACK: "rollback", HAND_OVER: "handover", RELEASE_RING: "ring release"}
BY_OPERATOR = 1
BY_ROLLBACK = 2
BY_PROBATION = 3
CUTOVER_CAUSES = {BY_OPERATOR: "operator", BY_ROLLBACK: "rollback", BY_PROBATION: "probation"}
REFUSED = 1
"""Outcome of an ADMIN entry whose command was refused; its answer says why."""

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


@dataclass(frozen=True)
class Probation:
    """What a new version may do in its first entries before the old one takes over again; -1 any number."""

    entries: int = 0
    max_faults: int = 0
    max_rejections: int = -1
    max_violations: int = 0


NO_PROBATION = Probation()


@dataclass(frozen=True)
class Cutover:
    """Input of a cutover entry. `state_digest` is filled in by the loop when tables were migrated."""

    logic_version: int
    previous_version: int
    cause: int
    name: str
    version: str
    content_hash: str
    migration: str = ""
    state_digest: int = 0
    probation: Probation = NO_PROBATION

    def encode(self) -> bytes:
        """The message with its SBE header."""
        numbers = (self.logic_version, self.previous_version, self.state_digest, self.cause, *astuple(self.probation))
        texts = (self.name, self.version, self.content_hash, self.migration)
        block = CUTOVER_FORMAT.pack(*numbers, *(text.encode() for text in texts))
        return sbe_header(CUTOVER_TEMPLATE, len(block)).to_bytes(8, "little") + block

    @classmethod
    def decode(cls, message: bytes | memoryview) -> Cutover:
        """Back from the input of an entry."""
        logic, previous, digest, cause, *rest = CUTOVER_FORMAT.unpack_from(message, BLOCK)
        name, version, content_hash, migration = (_text(each) for each in rest[4:])
        return cls(logic, previous, cause, name, version, content_hash, migration, digest, Probation(*rest[:4]))


@dataclass(frozen=True)
class AdminCommand:
    """Input of an ADMIN entry: what an operator asked for, and the engine's answer.

    `subject` is the content hash of a cutover's version, the name of a ring to release, else empty.
    """

    command: int
    at_sequence: int
    forced: bool
    subject: str
    who: str
    why: str
    answer: str = ""

    def encode(self) -> bytes:
        """The message with its SBE header; texts are cut to what their fields hold."""
        numbers = (self.command, self.at_sequence, int(self.forced))
        sizes = ((self.subject, 64), (self.who, 32), (self.why, 64), (self.answer, ADMIN_ANSWER_SIZE))
        texts = (text.encode()[:size].decode(errors="ignore").encode() for text, size in sizes)
        block = ADMIN_FORMAT.pack(*numbers, *texts)
        return sbe_header(ADMIN_TEMPLATE, len(block)).to_bytes(8, "little") + block

    @classmethod
    def decode(cls, message: bytes | memoryview) -> AdminCommand:
        """Back from a message. Raises ValueError when it is not one."""
        size = BLOCK + ADMIN_FORMAT.size
        header = sbe_header(ADMIN_TEMPLATE, ADMIN_FORMAT.size)
        if len(message) != size or int.from_bytes(message[:BLOCK], "little") != header:
            raise ValueError(f"not an admin command: length={len(message)} expected={size}")
        command, at_sequence, forced, *texts = ADMIN_FORMAT.unpack_from(message, BLOCK)
        subject, who, why, answer = (_text(each) for each in texts)
        return cls(command, at_sequence, bool(forced), subject, who, why, answer)


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")


assert LEADERSHIP_FORMAT.size == 200 and BLOCK + RING_ATTACH_FORMAT.size == RING_NAME + 32
