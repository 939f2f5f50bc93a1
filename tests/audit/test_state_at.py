"""The state after any entry: what the deltas say, from every kind of journal, and at no cost to the instance."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from statevec.audit.state_at import CutAwayError, DigestDiffersError, StateAtError, StateWalker
from statevec.audit.state_at_log import RecordedLog
from statevec.engine.instance import LeaderLock, create_instance, open_instance, prepare_directory
from statevec.engine.store import StoreError
from statevec.ipc import log_layout
from statevec.ipc.log import create_log
from statevec.ipc.python_call import store_release
from statevec.journal import entry_layout as layout
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError, JournalError, SequenceNotFoundError
from statevec.roles.retention import retain
from statevec.roles.snapshot import begin_following, capture, snapshots_locked, write_snapshot
from statevec.state.reading import read_fields, read_rows
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import run_to

ENTRIES = 400
ACCOUNTS = "accounts"


def recorded_at(directory: Path, entries: int = ENTRIES, seed: int = 7) -> RecordedInstance:
    made = RecordedInstance(directory / "instance")
    made.random_transfers(entries, seed)
    made.write()
    return made


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return recorded_at(tmp_path_factory.mktemp("state_at"))


def recorded_over_units(directory: Path, size: int) -> RecordedInstance:
    """Few, large entries."""
    made = RecordedInstance(directory / "instance")
    while len(made.content) < size:
        made.transfer(3, "IN", 5)
        made.append(layout.COMMAND, bytes(16_000), source=1)
    made.write()
    return made


def models(recorded: RecordedInstance) -> list[dict[int, tuple[int, int, dict[str, object]]]]:
    """The accounts after each entry, from the deltas alone: key → version, last changed, fields."""
    table = list(recorded.execution.layout.tables).index(ACCOUNTS)
    record = recorded.execution.layout.tables[ACCOUNTS].spec.record
    found: list[dict[int, tuple[int, int, dict[str, object]]]] = [{}]
    for position in recorded.positions:
        entry = Entry(recorded.content[position:])
        after = dict(found[-1])
        for change in entry.changes():
            if change.table == table:
                fields = read_fields(record, change.image)
                after.pop(fields["account"], None)
                if change.operation != layout.DELETED:
                    after[fields["account"]] = (change.version, entry.sequence, fields)
        found.append(after)
    return found


def accounts(following) -> dict[int, tuple[int, int, dict[str, object]]]:
    execution = following.execution
    rows = read_rows(execution.arena, execution.layout.tables[ACCOUNTS])
    return {each.fields["account"]: (each.version, each.last_changed, each.fields) for each in rows}


def write_snapshots(recorded: RecordedInstance, *sequences: int) -> None:
    following = begin_following(recorded.instance, "interpreted", None)
    for sequence in sequences:
        run_to(recorded, following, sequence)
        write_snapshot(recorded.instance, capture(following), lambda: True, keep=9)


def everything_in(directory: Path) -> dict[str, tuple[int, int]]:
    paths = [directory, *directory.rglob("*")]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_the_state_after_each_entry_is_what_the_deltas_say(recorded):
    walker = StateWalker(recorded.instance)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    expected = models(recorded)
    order = random.Random(seed).sample(range(len(expected)), 40)
    for sequence in [*range(len(expected)), *order]:
        assert accounts(walker.to(sequence)) == expected[sequence], sequence
        assert walker.sequence == sequence


def test_walking_forward_runs_each_entry_once(recorded):
    calls = []
    walker = StateWalker(recorded.instance, progress=lambda *where: calls.append(where))
    first = walker.to(10)
    assert walker.to(300) is first
    assert walker.to(10) is not first
    assert calls == []


def test_a_snapshot_is_where_execution_begins(tmp_path):
    recorded = recorded_over_units(tmp_path, 3 << 20)
    expected, last = models(recorded), len(recorded.positions)
    write_snapshots(recorded, last - 90, last - 30)
    recorded.overwrite(recorded.positions[5] + layout.INPUT, b"\xff" * 8)
    walker = StateWalker(recorded.instance)
    for sequence in (last - 90, last - 50, last - 30, last - 29, last):
        assert accounts(walker.to(sequence)) == expected[sequence]
    with pytest.raises(JournalDamagedError) as raised:
        walker.to(last - 91)
    assert (raised.value.position, raised.value.sequence) == (recorded.positions[5], 6)
    assert accounts(walker.to(last - 40)) == expected[last - 40]


def test_a_snapshot_far_ahead_is_jumped_to(tmp_path, monkeypatch):
    recorded = recorded_over_units(tmp_path, 3 << 20)
    expected, last = models(recorded), len(recorded.positions)
    write_snapshots(recorded, 20, last - 10)
    recorded.overwrite(recorded.positions[last // 2] + layout.INPUT, b"\xff" * 8)
    walker = StateWalker(recorded.instance)
    assert accounts(walker.to(30)) == expected[30]
    with pytest.raises(JournalDamagedError):
        walker.to(last - 11)
    assert accounts(walker.to(30)) == expected[30]
    assert accounts(walker.to(last)) == expected[last], "a snapshot behind the damage was not taken"
    assert accounts(walker.to(30)) == expected[30]
    monkeypatch.setattr("statevec.audit.state_at.JUMP_ENTRIES", last - 50)
    monkeypatch.setattr("statevec.audit.state_at.StateWalker._run", None)
    assert walker._begin(last, walker._following).execution.sequence == last - 10


def test_the_newest_state_is_not_that_before_a_damaged_entry(tmp_path):
    recorded = recorded_at(tmp_path, 60)
    recorded.overwrite(recorded.positions[50] + layout.INPUT, b"\xff" * 8)
    with pytest.raises(JournalDamagedError) as raised:
        _ = StateWalker(recorded.instance).log.newest_sequence
    assert raised.value.sequence == 51


def test_an_instance_without_entries_says_so(tmp_path):
    directory = tmp_path / "instance"
    prepare_directory(directory)
    walker = StateWalker(create_instance(directory))
    for sequence in (0, 1):
        with pytest.raises(StateAtError, match=f"no entry was ever written: instance={directory}"):
            walker.to(sequence)


def test_a_first_entry_that_is_damaged_is_named(tmp_path):
    recorded = recorded_at(tmp_path, 20)
    recorded.overwrite(layout.INPUT, b"\xff" * 8)
    with pytest.raises(JournalDamagedError, match="position=0 sequence=1"):
        StateWalker(recorded.instance).to(5)


def test_a_sequence_out_of_range_is_refused_with_first_and_last(recorded):
    walker = StateWalker(recorded.instance)
    last = len(recorded.positions)
    for sequence in (-1, last + 1, 1 << 40):
        with pytest.raises(SequenceNotFoundError, match=f"sequence={sequence} first=1 last={last}"):
            walker.to(sequence)
    with pytest.raises(SequenceNotFoundError, match=f"sequence=0 first=1 last={last}"):
        walker.entry(0)


def test_what_was_cut_away_is_named_and_comes_back_from_cold_segments(tmp_path):
    recorded = recorded_over_units(tmp_path, 5 << 20)
    expected = models(recorded)
    last = len(recorded.positions)
    write_snapshots(recorded, last - 20)
    retain(recorded.instance, keep=1, cold=tmp_path / "cold")
    walker = StateWalker(recorded.instance)
    first = walker.log.first_sequence
    assert first > 1
    with pytest.raises(CutAwayError, match=f"sequence=5 first={first} last={last} position="):
        walker.before(5)
    with pytest.raises(CutAwayError, match=f"snapshots={last - 20}; needed: a snapshot of a sequence from {first - 1}"):
        walker.to(first + 1)
    assert accounts(walker.to(last - 10)) == expected[last - 10]
    with_cold = StateWalker(recorded.instance, tmp_path / "cold")
    for sequence in (5, first + 1, last):
        assert accounts(with_cold.to(sequence)) == expected[sequence]


def test_an_entry_that_comes_out_otherwise_ends_the_walk(tmp_path):
    recorded = recorded_at(tmp_path, 60)
    recorded.forge(31, layout.OUTCOME, (5).to_bytes(4, "little"))
    walker = StateWalker(recorded.instance)
    walker.to(30)
    with pytest.raises(DigestDiffersError, match=r"sequence=31: .*outcome: recorded=REJECTED\(5\) executed="):
        walker.to(40)
    assert walker.sequence is None


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_version_that_cannot_be_loaded_is_named(tmp_path, harm):
    recorded = recorded_at(tmp_path, 20)
    stored = recorded.instance.plugin_directory(recorded.plugin.content_hash)
    if harm == "missing":
        shutil.rmtree(stored)
    else:
        (stored / "ledger.py").write_text("# changed\n")
    with pytest.raises(StoreError, match=recorded.plugin.content_hash):
        StateWalker(recorded.instance).to(10)


def test_what_the_files_do_not_have_yet_comes_from_the_live_log(tmp_path, monkeypatch):
    recorded = recorded_at(tmp_path, 300)
    instance, content = recorded.instance, bytes(recorded.content)
    expected, last = models(recorded), len(recorded.positions)
    written, released = recorded.positions[200], recorded.positions[280]
    recorded.overwrite(written, bytes(len(content) - written))
    with create_log(instance.instance_id, 4 << 20, released_by="leader") as log:
        try:
            log.region.view[log_layout.DATA : log_layout.DATA + len(content)] = content
            store_release(log.region, log_layout.WRITTEN, written)
            store_release(log.region, log_layout.APPENDED, len(content))
            store_release(log.region, log_layout.RELEASED_BY_LEADER, released)
            walker = StateWalker(instance)
            assert walker.log.newest_sequence == 280
            for sequence in (150, 200, 201, 280):
                assert accounts(walker.to(sequence)) == expected[sequence]
            with pytest.raises(SequenceNotFoundError, match=f"sequence={last} first=1 last=280"):
                walker.to(last)
            laps = [False, False, True]
            with monkeypatch.context() as patched:
                patched.setattr("statevec.audit.state_at_log.within_window", lambda *where: laps.pop(0))
                assert (RecordedLog(instance).newest_sequence, laps) == (280, [])
                patched.setattr("statevec.audit.state_at_log.within_window", lambda *where: False)
                with pytest.raises(JournalError, match=f"writer laps whoever copies its end: written={written}"):
                    RecordedLog(instance)
            copy = tmp_path / "copy"
            shutil.copytree(instance.directory, copy)
            position = recorded.positions[100]
            for path in (copy / "journal").iterdir():
                path.write_bytes(path.read_bytes()[:position].ljust(path.stat().st_size, b"\0"))
            assert StateWalker(open_instance(copy)).log.newest_sequence == 100
        finally:
            log.unlink()


def test_an_interruption_leaves_nothing_half_done(tmp_path, monkeypatch):
    recorded = recorded_over_units(tmp_path, 3 << 20)
    monkeypatch.setattr("statevec.audit.state_at.STEP_BYTES", 1 << 20)
    seen = []

    def progress(sequence, goal):
        seen.append((sequence, goal))
        if len(seen) == 2:
            raise KeyboardInterrupt

    last = len(recorded.positions)
    walker = StateWalker(recorded.instance, progress=progress)
    with pytest.raises(KeyboardInterrupt):
        walker.to(last)
    assert (walker.sequence, seen[0][1]) == (None, last) and seen[0][0] < seen[1][0] < last
    assert accounts(walker.to(last)) == models(recorded)[last]


def test_reading_writes_nothing_and_needs_no_lock(tmp_path):
    recorded = recorded_at(tmp_path, 60)
    write_snapshots(recorded, 20, 40)
    before = everything_in(recorded.instance.directory)
    for path in [*recorded.instance.directory.rglob("*"), recorded.instance.directory]:
        os.chmod(path, 0o500 if path.is_dir() else 0o400)
    with LeaderLock(recorded.instance.directory), snapshots_locked(recorded.instance):
        walker = StateWalker(open_instance(recorded.instance.directory))
        for sequence in (60, 30, 0):
            walker.to(sequence)
    assert everything_in(recorded.instance.directory) == before
