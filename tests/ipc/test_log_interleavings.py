"""The log's writer and reader in every order, with a crash of either at every access (protocol rules 6 and 8)."""

from __future__ import annotations

from typing import Any

import pytest

from statevec.ipc import log_kernels
from statevec.ipc import log_layout as layout
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from tests.ipc.interleavings import Explored, Scenario, StepCopiedRegion, SteppedRegion, Stepper, explore

CAPACITY = 128
UNIT = 64
BATCH = 64
ENTRY = 32


def log_functions(batch: int) -> dict[str, Any]:
    """The plain kernels, with MAX_BATCH_BYTES small enough for a log of 128 bytes."""
    memo: dict[Any, Any] = {}
    names = ("start_entry", "publish", "open_reader", "next_entry")
    made = {name: plain(getattr(log_kernels, name), memo) for name in names}
    for function in memo.values():
        if "MAX_BATCH_BYTES" in function.__globals__:
            function.__globals__["MAX_BATCH_BYTES"] = batch
    return made


FUNCTIONS = log_functions(BATCH)


def entry_bytes(sequence: int, size: int) -> bytes:
    return size.to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes([sequence]) * (size - 8)


class Log:
    """A log in private memory, its one writer and one reader, and what the reader saw."""

    def __init__(self, stepper: Stepper, start: int, functions: dict[str, Any]) -> None:
        self.functions = functions
        self.memory = Region.allocate(layout.DATA + CAPACITY)
        for offset in (layout.APPENDED, layout.RELEASED_BY_LEADER, layout.FIRST_POSITION):
            self.memory.store_i64(offset, start)
        self.log = SteppedRegion.over(self.memory, stepper)
        self.position = start
        self.written: dict[int, bytes] = {}
        self.seen: list[tuple[int, bytes]] = []
        self.reader = Region.allocate(log_kernels.READER_SIZE)
        target = Region.allocate(64)
        self.target = StepCopiedRegion(target.address, target.size, target.owner)
        followed = layout.RELEASED_BY_LEADER
        functions["open_reader"](self.memory, self.reader, CAPACITY, UNIT, followed, start)

    def write(self, size: int) -> None:
        sequence = len(self.written) + 1
        place = self.functions["start_entry"](self.log, CAPACITY, UNIT, self.position, size)
        content = entry_bytes(sequence, size)
        self.written[sequence] = content
        for offset in range(0, size, 16):  # as the engine does: header and parts, in no order that matters
            word = int.from_bytes(content[offset : offset + 8], "little", signed=True)
            self.log.store_i64(layout.DATA + (place + offset) % CAPACITY, word)
            self.memory.store_i64(
                layout.DATA + (place + offset + 8) % CAPACITY, int.from_bytes(content[8:16], "little")
            )
        self.position = place + size

    def publish(self) -> None:
        self.functions["publish"](self.log, self.position, True)

    def read(self) -> int:
        length: int = self.functions["next_entry"](self.log, self.reader, self.target)
        if length >= 0:
            position = self.reader.load_i64(log_kernels.READER_ENTRY_POSITION)
            self.seen.append((position, bytes(self.target.view[:length])))
        return length

    def check_seen(self) -> None:
        """Whole entries, in order, from the first, none left out."""
        assert [content for _, content in self.seen] == [self.written[number + 1] for number in range(len(self.seen))]


def explore_log(start: int, batches: list[list[int]], reads: int, functions: dict[str, Any] = FUNCTIONS) -> Explored:
    def make(stepper: Stepper) -> Scenario:
        log = Log(stepper, start, functions)
        last: list[int] = []

        def write() -> None:
            for batch in batches:
                for size in batch:
                    log.write(size)
                log.publish()

        def read() -> None:
            for _ in range(reads):
                last.append(log.read())
                if last[-1] == log_kernels.LAPPED:
                    return

        def check(crashed: int | None) -> None:
            log.check_seen()
            assert log_kernels.CORRUPT_ENTRY not in last
            appended = log.memory.load_i64(layout.APPENDED)
            if log_kernels.LAPPED in last:
                assert appended - log.reader.load_i64(log_kernels.READER_POSITION) > CAPACITY - BATCH
                return
            if crashed != 1:  # a reader that goes on reads all that is released, or learns that it was lapped
                while (code := log.read()) >= 0:
                    pass
                log.check_seen()
                position = log.reader.load_i64(log_kernels.READER_POSITION)
                assert code in (log_kernels.EMPTY, log_kernels.LAPPED)
                released = log.memory.load_i64(layout.RELEASED_BY_LEADER)
                assert code == log_kernels.LAPPED or position == released

        return Scenario([write, read], [log.memory.slice(layout.CONTROL, layout.PAGE + CAPACITY)], check)

    return explore(make, crashes=True)


@pytest.mark.parametrize("start", [0, 32, 1024 + 96])
def test_a_reader_sees_whole_published_entries_in_any_order(start: int) -> None:
    assert explore_log(start, [[ENTRY], [ENTRY]], reads=2).crashes > 50


def test_padding_is_passed_over_in_any_order() -> None:
    assert explore_log(16, [[32, 48]], reads=3).crashes > 20


def test_a_reader_that_is_lapped_while_it_copies_says_so() -> None:
    """The writer goes round the whole log: each entry is read whole or not at all."""
    assert explore_log(0, [[ENTRY, ENTRY], [ENTRY, ENTRY], [ENTRY]], reads=2).crashes > 50


def test_the_explorer_finds_torn_bytes_when_the_window_is_the_whole_log() -> None:
    """Rule 6: judging by the published position alone would accept bytes of the batch that is being written."""
    with pytest.raises(AssertionError):
        explore_log(0, [[ENTRY, ENTRY], [ENTRY, ENTRY], [ENTRY]], reads=2, functions=log_functions(0))
