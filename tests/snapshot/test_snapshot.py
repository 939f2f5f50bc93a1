"""A follower restored from a snapshot is the one that executed everything from genesis."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from statevec.engine import execution_layout
from statevec.engine.snapshot_file import CARRIED
from statevec.journal.entry_layout import ADMIN, COMMAND, CUTOVER, TIMER
from statevec.roles.snapshot import capture, newest_snapshot, restore, write_snapshot
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import desk_history, everything, followed, hedge_history, reader_of, run_to

HISTORIES = {"desk": desk_history, "hedge": hedge_history}


def some_sequences(recorded: RecordedInstance, source: random.Random) -> list[int]:
    """The first, the last, those around what changes who decides, and a few others."""
    last = recorded.execution.sequence
    changes = [entry.sequence for entry in reader_of(recorded).entries() if entry.kind in (ADMIN, CUTOVER)]
    around = {sequence + more for sequence in changes for more in (-1, 0, 1)}
    return sorted({1, last, *around, *(source.randrange(1, last) for _ in range(6))})


@pytest.mark.parametrize("name", HISTORIES)
def test_a_restored_follower_is_the_one_that_executed_everything(tmp_path: Path, name: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    recorded = HISTORIES[name](tmp_path, seed)
    last = recorded.execution.sequence
    expected = everything(followed(recorded, last))
    assert expected["digest"] == recorded.execution.digest
    following = followed(recorded, 1)
    for sequence in some_sequences(recorded, random.Random(seed)):
        run_to(recorded, following, sequence)
        write_snapshot(recorded.instance, capture(following), lambda: True)
        found = newest_snapshot(recorded.instance)
        assert found is not None
        restored = restore(found, recorded.instance, "interpreted")
        assert everything(restored) == everything(following)
        run_to(recorded, restored, last)
        assert everything(restored) == expected


def test_both_tiers_go_on_from_it_alike(tmp_path: Path) -> None:
    recorded = desk_history(tmp_path, 5)
    last = recorded.execution.sequence
    write_snapshot(recorded.instance, capture(followed(recorded, last - 30)), lambda: True)
    ends = []
    for tier in ("compiled", "interpreted"):
        found = newest_snapshot(recorded.instance)
        assert found is not None
        restored = restore(found, recorded.instance, tier)
        run_to(recorded, restored, last)
        ends.append(everything(restored))
    assert ends[0] == ends[1]


def test_the_histories_have_what_a_snapshot_must_carry(tmp_path: Path) -> None:
    recorded = desk_history(tmp_path / "desk", 1)
    following = followed(recorded, recorded.execution.sequence)
    assert {entry.kind for entry in reader_of(recorded).entries()} >= {COMMAND, TIMER, CUTOVER, ADMIN}
    assert following.history.sources == {"market": 1, "admin": 3}
    assert following.history.pending is not None
    assert len(following.versions.history.deciders) == 3
    failed = [
        followed(recorded, sequence).execution.block.load_i64(execution_layout.PROBATION_FAILED)
        for sequence in range(1, recorded.execution.sequence, 5)
    ]
    assert set(failed) == {0, 1}, "a snapshot is taken before and after a probation failed"
    assert all(count > 0 for count in following.execution.counts.values())
    hedge = hedge_history(tmp_path / "hedge", 1)
    assert sum(len(entry.outputs()) for entry in reader_of(hedge).entries()) > 20


def test_each_field_of_the_execution_block_is_carried_over_or_made_anew() -> None:
    """Whoever adds a field to the block has to say here what a snapshot does with it."""
    beside = {"SEQUENCE", "DIGEST"}
    made_anew = {"DISPATCH", "MAX_ENTRY"}
    of_the_last_entry = {"LAST_FAULT_INFORMATION", "LAST_FAULT_SEQUENCE", "REPLAYED_OUTCOME"}
    fields = {name: value for name, value in vars(execution_layout).items() if name.isupper()}
    size = fields.pop("EXECUTION_SIZE")
    carried = {name for name, offset in fields.items() if offset in CARRIED.values()}
    assert carried | beside | made_anew | of_the_last_entry == fields.keys()
    assert len(carried) == len(CARRIED)
    assert all(offset < size for offset in CARRIED.values())
