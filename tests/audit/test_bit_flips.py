"""One flipped bit, wherever it is: found by a hash or by what must follow, and reported with position and sequence."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from statevec.audit.verify import verify_instance
from statevec.cli.main import run_command
from statevec.engine.instance import InstanceError, LeaderLock, open_instance
from statevec.engine.snapshot_file import SnapshotError, read_snapshot, verify_file
from statevec.ipc.log import LogError, create_log
from statevec.ipc.log_layout import APPENDED, DATA, RELEASED_BY_LEADER
from statevec.ipc.python_call import store_release
from statevec.journal import entry_layout as layout
from statevec.journal.cold_segments import ColdSegmentError, list_cold_segments, verify_content
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import find_end
from statevec.roles.cursor import Cursor, CursorError, CursorFile, read_cursor
from statevec.roles.following import Following
from statevec.roles.output_reader import OutputReader
from statevec.roles.retention import retain
from statevec.roles.snapshot import begin_following, capture, newest_snapshot, write_snapshot
from statevec.roles.snapshot_taker import take_snapshot
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.reading import read_row
from statevec.state.tables import find
from tests.audit.recorded_instance import SEGMENT_SIZE, RecordedInstance

FLIPS = 60


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(60, 5)
    made.write()
    return made


@pytest.fixture
def dice() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    return random.Random(seed)


def flip_in(path: Path, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        [byte] = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ (1 << bit % 8)]))


def parts_of(recorded: RecordedInstance, sequence: int) -> dict[str, tuple[int, int]]:
    """Start and length of the parts of an entry, from its first byte."""
    position = recorded.positions[sequence - 1]

    def word(offset: int) -> int:
        return int.from_bytes(recorded.content[position + offset : position + offset + 4], "little")

    start = layout.INPUT + (word(layout.INPUT_LENGTH) + 7) // 8 * 8
    outputs, delta = word(layout.OUTPUTS_LENGTH), word(layout.DELTA_LENGTH)
    return {
        "header": (0, layout.DURABLE_POSITION),
        "hash": (layout.HASH, 8),
        "digest": (layout.DIGEST, 8),
        "input": (layout.INPUT, word(layout.INPUT_LENGTH)),
        "outputs": (start, outputs),
        "delta": (start + outputs, delta),
    }


def end_or_damage(recorded: RecordedInstance) -> tuple[int, tuple[int, int]]:
    """The journal's last sequence, or -1 and where it is damaged: position and sequence."""
    try:
        return find_end(recorded.instance.journal_directory).sequence, (-1, -1)
    except JournalDamagedError as error:
        return -1, (error.position, error.sequence)


@pytest.mark.parametrize("part", ["header", "hash", "digest", "input", "outputs", "delta"])
def test_in_a_part_of_an_entry_on_disk(recorded: RecordedInstance, dice: random.Random, part: str) -> None:
    """Rule 9: below what was durable it is damage, named by where the entry begins and its number."""
    sequence = next(number for number in range(20, 60) if parts_of(recorded, number)[part][1])
    position = recorded.positions[sequence - 1]
    start, length = parts_of(recorded, sequence)[part]
    [segment] = recorded.instance.journal_directory.glob("*.seg")
    for _ in range(FLIPS):
        bit = (position + start) * 8 + dice.randrange(8 * length)
        flip_in(segment, bit)
        with pytest.raises(JournalDamagedError) as caught:
            find_end(recorded.instance.journal_directory)
        assert (caught.value.position, caught.value.sequence) == (position, sequence), f"bit {bit - position * 8}"
        flip_in(segment, bit)
    found = verify_instance(recorded.instance.directory, "interpreted")
    assert found.verified


def test_the_field_that_no_hash_covers_can_only_make_recovery_more_careful(recorded: RecordedInstance) -> None:
    """The durable position: a bit there changes no result; too high, and recovery refuses what it would have cut."""
    [segment] = recorded.instance.journal_directory.glob("*.seg")
    position = recorded.positions[30]
    for bit in range(64):
        flip_in(segment, (position + layout.DURABLE_POSITION) * 8 + bit)
        end, damage = end_or_damage(recorded)
        assert end == len(recorded.positions) or damage == (len(recorded.content), len(recorded.positions) + 1), bit
        flip_in(segment, (position + layout.DURABLE_POSITION) * 8 + bit)


def test_in_the_padding_of_a_unit(tmp_path: Path, dice: random.Random) -> None:
    made = RecordedInstance(tmp_path / "instance")
    while len(made.content) < (1 << 20) + 4096:
        made.append(layout.COMMAND, bytes(60_000), source=1)
    made.random_transfers(5, 1)
    made.write()
    first = next(number for number, position in enumerate(made.positions) if position == 1 << 20)
    end = made.positions[first - 1] + int.from_bytes(made.content[made.positions[first - 1] :][:4], "little")
    [segment] = made.instance.journal_directory.glob("*.seg")
    for bit in [*range(64), *(64 + dice.randrange(8 * ((1 << 20) - end) - 64) for _ in range(FLIPS))]:
        flip_in(segment, end * 8 + bit)
        found, damage = end_or_damage(made)
        if bit < 64:  # length and kind of padding are read
            assert end <= damage[0] < 1 << 20, bit
            assert damage[1] == first + 1
        else:
            assert found == len(made.positions), "it changed nothing"
        flip_in(segment, end * 8 + bit)


def test_in_a_snapshot(recorded: RecordedInstance, dice: random.Random) -> None:
    path = take_snapshot(recorded.instance, "interpreted").path
    size = path.stat().st_size
    header = 4096 * 8
    places = [dice.randrange(200 * 8), *(header + dice.randrange(header) for _ in range(5))]
    for bit in [*places, *(dice.randrange(8 * size) for _ in range(FLIPS))]:
        flip_in(path, bit)
        for read in (verify_file, read_snapshot):
            if bit // 8 < 4096 and bit // 8 >= 80:
                continue  # the page's unused rest
            with pytest.raises(SnapshotError, match=str(path)):
                read(path)
        flip_in(path, bit)
    assert newest_snapshot(recorded.instance) is not None


def test_in_a_cold_segment(tmp_path: Path, dice: random.Random) -> None:
    made = RecordedInstance(tmp_path / "instance")
    while len(made.content) < SEGMENT_SIZE + 4096:
        made.append(layout.COMMAND, dice.randbytes(60_000), source=1)
    made.write()
    take_snapshot(made.instance, "interpreted")
    retain(made.instance, keep=1, cold=tmp_path / "cold")
    [path] = (tmp_path / "cold").iterdir()
    for bit in [dice.randrange(8 * path.stat().st_size) for _ in range(FLIPS)] + [dice.randrange(8 * 4200)]:
        flip_in(path, bit)
        with pytest.raises(ColdSegmentError, match=str(path)):
            read_archive(tmp_path / "cold", made)
        flip_in(path, bit)


def read_archive(cold: Path, made: RecordedInstance) -> None:
    for segment in list_cold_segments(cold, made.instance.instance_id):
        verify_content(segment)


def test_in_a_cursor(recorded: RecordedInstance) -> None:
    """Every bit of it: a larger number of outputs would pass over outputs that nobody got."""
    file = CursorFile(recorded.instance, "venue")
    file.write(Cursor(recorded.positions[9], 1, 10, "00ff" * 4, 1), durable=False)
    file.close()
    path = file.directory / "cursor"
    for bit in range(8 * path.stat().st_size):
        flip_in(path, bit)
        with pytest.raises(CursorError, match="damaged"):
            read_cursor(file.directory)
        flip_in(path, bit)
    assert read_cursor(file.directory).outputs == 1


def test_in_the_log_in_shared_memory(recorded: RecordedInstance, dice: random.Random) -> None:
    """What a gateway is handed is whole, or it is told: also an entry whose length of outputs became zero."""
    numbers = range(1, len(recorded.positions) + 1)
    outputs = [number for number in numbers if parts_of(recorded, number)["outputs"][1]]
    with create_log(recorded.instance.instance_id, 4 << 20, released_by="leader") as log:
        try:
            log.region.view[DATA : DATA + len(recorded.content)] = recorded.content
            for offset in (APPENDED, RELEASED_BY_LEADER):
                store_release(log.region, offset, len(recorded.content))

            def handed() -> int:
                reader, count = OutputReader(log, 0), 0
                while reader.poll_outputs() is not None:
                    count += 1
                return count

            whole = handed()
            assert whole == len(outputs)
            at = DATA + recorded.positions[outputs[3] - 1] + layout.OUTPUTS_LENGTH
            length = log.region.load_i32(at)
            log.region.store_i32(at, 0)  # where it is a power of two, one bit does that
            with pytest.raises(LogError):
                handed()
            log.region.store_i32(at, length)
            for _ in range(FLIPS):
                sequence = dice.choice(outputs)
                position = recorded.positions[sequence - 1]
                part = dice.choice(["header", "hash", "input", "outputs", "delta", "length"])
                start, length = parts_of(recorded, sequence).get(part, (layout.OUTPUTS_LENGTH, 2))
                byte, bit = DATA + position + start + dice.randrange(max(length, 1)), 1 << dice.randrange(8)
                log.region.view[byte] ^= bit
                with pytest.raises(LogError):
                    assert handed() == whole, f"passed over: byte {byte - DATA - position} bit {bit}"
                log.region.view[byte] ^= bit
        finally:
            log.unlink()


def follower(recorded: RecordedInstance, sequence: int) -> Following:
    following = begin_following(recorded.instance, "interpreted", None)
    following.run_to(JournalReader(recorded.instance.journal_directory), recorded.positions[sequence])
    return following


@pytest.mark.parametrize("start", [None, "oldest"])
def test_in_the_state_of_who_takes_a_snapshot(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str], start: str | None
) -> None:
    """Its hashes are right, since they were made of it: execution again has other bytes."""
    write_snapshot(recorded.instance, capture(follower(recorded, 20)), lambda: True)
    following = follower(recorded, 50)
    table = following.execution.layout.tables["accounts"]
    at = table.rows + ROW_HEADER_SIZE + table.spec.record.field("balance").offset
    right = following.execution.arena.load_i64(at)
    first = read_row(following.execution.arena, table, 0)
    assert first is not None
    key = first.fields["account"]
    following.execution.arena.store_i64(at, right ^ (1 << 40))
    path = write_snapshot(recorded.instance, capture(following), lambda: True)
    found = verify_instance(recorded.instance.directory, "interpreted", start)  # type: ignore[arg-type]
    assert not found.verified
    assert (found.sequence, found.snapshots, found.difference, found.damage) == (50, int(start is None), None, None)
    assert found.snapshot_difference is not None
    told = found.snapshot_difference
    assert (told.path, told.sequence) == (path, 50)
    assert told.place == f"accounts[{key}]"
    assert [(each.path, each.recorded, each.executed) for each in told.fields] == [
        ("balance", right ^ (1 << 40), right)
    ]
    assert run_command(["verify", "--instance", str(recorded.instance.directory), "--tier", "interpreted"]) == 1
    assert "the snapshot at sequence=50 holds something else: accounts[" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("offset", "place"),
    [
        (lambda table: table.at + 80, "accounts: counts"),
        (lambda table: table.rows + 16, "accounts"),
        (lambda table: table.rows + table.row_size - 4, "accounts: links or free rows"),
    ],
)
def test_in_what_holds_the_records_together(recorded: RecordedInstance, offset: Callable[..., int], place: str) -> None:
    following = follower(recorded, 30)
    table = following.execution.layout.tables["accounts"]
    following.execution.arena.view[offset(table)] ^= 4
    write_snapshot(recorded.instance, capture(following), lambda: True)
    told = verify_instance(recorded.instance.directory, "interpreted").snapshot_difference
    assert told is not None
    assert told.place.startswith(place)


def test_snapshots_of_sound_states_are_counted(recorded: RecordedInstance) -> None:
    for sequence in (10, 20, 30):
        write_snapshot(recorded.instance, capture(follower(recorded, sequence)), lambda: True)
    found = verify_instance(recorded.instance.directory, "interpreted")
    assert (found.verified, found.snapshots, found.entries) == (True, 3, len(recorded.positions))
    assert found.to_dict()["snapshots"] == 3


def test_in_the_leaders_own_state_shows_at_the_next_entry_that_reads_it(tmp_path: Path) -> None:
    """Nobody can read a leader's memory: until then nothing shows, then a standby, or `verify`, says which entry."""
    made = RecordedInstance(tmp_path / "instance")
    made.transfer(7, "IN", 100)
    made.transfer(8, "IN", 100)
    table = made.execution.layout.tables["accounts"]
    balance = find(made.execution.tx, list(made.execution.layout.tables).index("accounts"), 7)
    balance += ROW_HEADER_SIZE + table.spec.record.field("balance").offset
    made.execution.arena.store_i64(balance, made.execution.arena.load_i64(balance) ^ 4)
    made.transfer(8, "IN", 1)
    unread = len(made.positions)
    made.transfer(7, "IN", 1)
    made.write()
    found = verify_instance(made.instance.directory, "interpreted")
    assert found.difference is not None
    assert (found.sequence, found.difference.sequence) == (unread, unread + 1)
    assert any("balance" in each.path for each in found.difference.fields)


@pytest.mark.parametrize("name", ["instance.json", "leader.json"])
def test_in_the_small_files_without_a_hash_nothing_crashes(recorded: RecordedInstance, name: str) -> None:
    """What still is JSON may say something else; what is none is a named error, or counts as not known."""
    with LeaderLock(recorded.instance.directory) as lock:
        lock.record(epoch=1)
    path = recorded.instance.directory / name
    for bit in range(8 * path.stat().st_size):
        flip_in(path, bit)
        with suppress(InstanceError):
            open_instance(recorded.instance.directory).leader()
        flip_in(path, bit)
