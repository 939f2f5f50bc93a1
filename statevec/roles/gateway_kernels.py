"""Taking a gateway's outputs natively: `next_output`, for the loop of a process that is in a hurry.

    block (int64 each; private memory of the gateway's process)
      0   private block of the `LogReader` (address)          8    1: ask Python for the next output, 0: read the log
      16  entry at hand: address           24  its size       32   its next output begins at     40  its outputs end at
      48  output at hand: message (address, SBE header first) 56   bytes of the message
      64  epoch     72  sequence     80  index      88  expires at, ns (0 never)
      96  position of its entry    104  digest of its entry
      112 outputs taken so far     120 of them expired         128 calls in a row that found nothing
      136 templates that the gateway takes: how many, 0 all   144 the templates

Invariants
    What is found lies in a private copy whose hash is right; it stays as it is until the next call.
    Outputs come in order; what an entry still has is handed out before the next entry is read.

The gateway's process writes the block. A crash leaves the cursor of the last acknowledgement.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.log import KERNEL_PART, LOG_ADDRESS, LOG_SIZE, TARGET_ADDRESS, TARGET_SIZE
from statevec.ipc.log_kernels import CORRUPT_ENTRY, EMPTY, READER_SIZE
from statevec.ipc.memory import Region, region_address, region_at
from statevec.journal import entry_layout as entries
from statevec.roles.output_reader import PASSED_OVER, next_with_outputs

READER = 0
ASKS = 8
ENTRY, ENTRY_SIZE = 16, 24
NEXT, END = 32, 40
MESSAGE, MESSAGE_LENGTH = 48, 56
EPOCH, SEQUENCE, INDEX, EXPIRES_NS = 64, 72, 80, 88
POSITION, DIGEST = 96, 104
TAKEN, EXPIRED_COUNT, IDLE_CALLS = 112, 120, 128
TEMPLATE_COUNT, TEMPLATES = 136, 144
MOST_TEMPLATES = 64
BLOCK_SIZE = TEMPLATES + 8 * MOST_TEMPLATES

NOTHING = 0
"""`next_output`: nothing is released; call again."""
ASK = -30
"""`next_output`: call the gateway's `ask` in Python, then go on."""
EXPIRED = -31
"""`next_output`: the output at hand has expired: do not send it; it counts as taken."""
ASK_AFTER = 1 << 14
"""Calls that found nothing before Python is asked: whether the leader is silent, the log another one."""


@kernel
def _is_taken(block: Region, template: int) -> bool:
    count = block.load_i64(TEMPLATE_COUNT)
    for number in range(count):
        if block.load_i64(TEMPLATES + 8 * number) == template:
            return True
    return count == 0


@kernel
def _take(block: Region, entry: Region, place: int) -> bool:
    """Make the output at `place` of the entry the one at hand; False when the gateway does not take it."""
    message = place + entries.OUTPUT_MESSAGE
    if not _is_taken(block, entry.load_u16(message + 2)):
        return False
    block.store_i64(MESSAGE, region_address(entry) + message)
    block.store_i64(MESSAGE_LENGTH, entry.load_i32(place + entries.OUTPUT_LENGTH) - entries.OUTPUT_MESSAGE)
    block.store_i64(EPOCH, entry.load_i64(entries.EPOCH))
    block.store_i64(SEQUENCE, entry.load_i64(entries.SEQUENCE))
    block.store_i64(INDEX, entry.load_i32(place + entries.OUTPUT_INDEX))
    block.store_i64(EXPIRES_NS, entry.load_i64(place + entries.OUTPUT_EXPIRES_NS))
    block.store_i64(POSITION, entry.load_i64(entries.POSITION))
    block.store_i64(DIGEST, entry.load_i64(entries.DIGEST))
    block.store_i64(TAKEN, block.load_i64(TAKEN) + 1)
    return True


@kernel
def _next_in_entry(block: Region) -> bool:
    """Go to the next output of the entry at hand that the gateway takes."""
    entry = region_at(block.load_i64(ENTRY), block.load_i64(ENTRY_SIZE))
    end = block.load_i64(END)
    while block.load_i64(NEXT) < end:
        place = block.load_i64(NEXT)
        length = entry.load_i32(place + entries.OUTPUT_LENGTH)
        if length < entries.OUTPUT_MESSAGE or length > end - place:
            block.store_i64(NEXT, end)
            return False
        block.store_i64(NEXT, place + length)
        if _take(block, entry, place):
            return True
    return False


@kernel
def _read_entry(block: Region) -> int:
    """Have the next entry with outputs at hand: its length, or a code of `next_with_outputs`."""
    private = region_at(block.load_i64(READER), KERNEL_PART + READER_SIZE)
    log = region_at(private.load_i64(LOG_ADDRESS), private.load_i64(LOG_SIZE))
    entry = region_at(private.load_i64(TARGET_ADDRESS), private.load_i64(TARGET_SIZE))
    length = next_with_outputs(log, private.slice(KERNEL_PART, READER_SIZE), entry)
    if length < 0:
        return length
    start = entries.INPUT + ((entry.load_i32(entries.INPUT_LENGTH) + 7) & -8)
    block.store_i64(ENTRY, region_address(entry))
    block.store_i64(ENTRY_SIZE, length)
    block.store_i64(NEXT, start)
    block.store_i64(END, start + entry.load_i32(entries.OUTPUTS_LENGTH))
    return length


@kernel
def next_output(block: Region, now_ns: int) -> int:
    """The next output of the gateway: bytes of its message (MESSAGE says where), NOTHING, EXPIRED or ASK.

    `now_ns` is wall-clock time, to which expiries are compared; 0 does not look at them.
    """
    while not _next_in_entry(block):
        if block.load_i64(ASKS) != 0:
            return ASK
        length = _read_entry(block)
        if length in (EMPTY, PASSED_OVER):
            idle = block.load_i64(IDLE_CALLS) + 1
            block.store_i64(IDLE_CALLS, idle)
            return NOTHING if idle % ASK_AFTER != 0 else ASK
        if length < 0:
            block.store_i64(ASKS, 1)  # lapped, or no entry stands there: Python goes on, or says what is wrong
            return ASK
    block.store_i64(IDLE_CALLS, 0)
    expires_ns = block.load_i64(EXPIRES_NS)
    if expires_ns != 0 and now_ns > expires_ns:
        block.store_i64(EXPIRED_COUNT, block.load_i64(EXPIRED_COUNT) + 1)
        return EXPIRED
    return block.load_i64(MESSAGE_LENGTH)


assert EMPTY < 0 and CORRUPT_ENTRY < 0 and PASSED_OVER < 0
