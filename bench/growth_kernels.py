"""Postings to accounts, executed one after another: what a transaction costs without ring and log around it."""

from __future__ import annotations

from statevec.engine.execute import book_entry, run_entry
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_size
from statevec.journal import entry_layout as entries

MESSAGE_LENGTH = 24
ACCOUNT = entries.INPUT + 8
AMOUNT = entries.INPUT + 16


@kernel
def _post(tx: Region, block: Region, entry: Region, account: int, sequence: int) -> int:
    """Execute one posting in `entry`, whose message header is there already; the entry's outcome."""
    header = entry.load_i64(entries.INPUT)
    entry.fill_zero(0, entries.ENTRY_HEADER_SIZE)
    entry.store_i64(entries.INPUT, header)
    entry.store_i32(entries.KIND, entries.COMMAND)
    entry.store_i64(entries.SEQUENCE, sequence)
    entry.store_i64(entries.EPOCH, 1)
    entry.store_i64(entries.TIMESTAMP_NS, sequence)
    entry.store_i32(entries.INPUT_LENGTH, MESSAGE_LENGTH)
    entry.store_i32(entries.INPUT_TRUE_LENGTH, MESSAGE_LENGTH)
    entry.store_i64(ACCOUNT, account)
    entry.store_i64(AMOUNT, 1)
    book_entry(tx, block, entry)
    run_entry(tx, block, entry, region_size(entry))
    return entry.load_i32(entries.OUTCOME)


@kernel
def open_accounts(tx: Region, block: Region, entry: Region, count: int) -> int:
    """A first posting to accounts 0 to `count`; 0, or the outcome of one that did not commit."""
    for account in range(count):
        outcome = _post(tx, block, entry, account, account + 1)
        if outcome != 0:
            return outcome
    return 0


@kernel
def post_randomly(tx: Region, block: Region, entry: Region, accounts: int, count: int) -> int:
    """`count` postings to random accounts of so many; 0, or the outcome of one that did not commit."""
    number = 0x2545F4914F6CDD1D
    for sequence in range(accounts + 1, accounts + 1 + count):
        number ^= number << 13  # xorshift64
        number ^= (number >> 7) & 0x01FFFFFFFFFFFFFF
        number ^= number << 17
        outcome = _post(tx, block, entry, ((number >> 1) & 0x3FFFFFFFFFFFFFFF) % accounts, sequence)
        if outcome != 0:
            return outcome
    return 0
