"""`verify` re-executes a journal in both tiers and says where the first difference is."""

from __future__ import annotations

import pytest

from statevec.audit.verify import verify_instance
from statevec.engine.instance import InstanceError, create_instance, prepare_directory
from statevec.engine.store import StoreError
from statevec.engine.versions import VersionError
from statevec.journal import entry_layout as layout
from tests.audit.recorded_instance import RecordedInstance

TIERS = ["compiled", "interpreted"]


@pytest.fixture
def recorded(tmp_path):
    made = RecordedInstance(tmp_path / "instance")
    made.transfer(7, "IN", 100)
    made.transfer(7, "OUT", 30)
    made.transfer(7, "OUT", 500)
    made.timer(7)
    made.append(layout.COMMAND, b"nonsense", source=1)
    made.write()
    return made


@pytest.mark.parametrize("tier", TIERS)
def test_a_journal_comes_out_the_same_in_both_tiers(tmp_path, tier):
    recorded = RecordedInstance(tmp_path / "instance")
    recorded.random_transfers(3_800, seed=2)
    recorded.write()
    assert len(recorded.content) > 1 << 20, "more than one unit"
    found = verify_instance(recorded.instance.directory, tier)
    assert found.verified
    assert (found.entries, found.sequence) == (len(recorded.positions),) * 2
    assert found.digest == recorded.execution.digest
    assert found.to_dict()["digest"] == f"{recorded.execution.digest & (1 << 64) - 1:016x}"


@pytest.mark.parametrize("tier", TIERS)
def test_the_first_difference_is_told_by_sequence_position_and_field(recorded, tier):
    """An entry that was sealed with another result than the logic gives."""
    entry = 3
    length = int.from_bytes(recorded.content[recorded.positions[entry - 1] :][:4], "little")
    position = recorded.positions[entry - 1]
    raw = bytes(recorded.content[position : position + length])
    balance = raw.index((70).to_bytes(8, "little"), layout.INPUT)
    recorded.forge(entry, balance, (71).to_bytes(8, "little"))
    found = verify_instance(recorded.instance.directory, tier)
    assert not found.verified
    assert (found.entries, found.sequence, found.position) == (2, 2, position)
    assert (found.difference.sequence, found.difference.position) == (entry, position)
    told = [(each.path, each.recorded, each.executed) for each in found.difference.fields]
    assert told == [("outputs[0].fields.balance", 71, 70)]


def test_a_different_outcome_is_told_with_all_that_follows_from_it(recorded):
    recorded.forge(4, layout.OUTCOME, (0).to_bytes(4, "little"))
    found = verify_instance(recorded.instance.directory)
    told = {each.path: (each.recorded, each.executed) for each in found.difference.fields}
    assert told["outcome"] == ("COMMITTED", "REJECTED(1)")


def test_the_first_entry_can_differ_too(recorded):
    recorded.forge(1, layout.OUTCOME, (-9).to_bytes(4, "little", signed=True))
    found = verify_instance(recorded.instance.directory)
    assert (found.entries, found.sequence, found.digest, found.difference.sequence) == (0, 0, 0, 1)


def test_damage_is_told_and_what_is_before_is_verified(recorded):
    recorded.random_transfers(20, seed=3)
    recorded.write()
    position = recorded.positions[9]
    recorded.overwrite(position + layout.INPUT + 9, b"\xff")
    found = verify_instance(recorded.instance.directory)
    assert not found.verified
    assert (found.entries, found.sequence, found.damage.sequence, found.damage.position) == (9, 9, 10, position)
    assert "hash differs" in found.to_dict()["damage"]["reason"]


def test_a_torn_tail_is_no_damage(recorded):
    """Rule 9: what nobody knew to be durable may be torn; verification ends before it."""
    last = recorded.positions[-1]
    recorded.overwrite(last + 8, bytes(len(recorded.content) - last - 8))
    found = verify_instance(recorded.instance.directory)
    assert found.verified
    assert found.sequence == len(recorded.positions) - 1


def test_a_missing_segment_is_damage_and_what_is_before_is_verified(tmp_path):
    recorded = RecordedInstance(tmp_path / "instance")
    while len(recorded.content) < (4 << 20):
        recorded.append(layout.COMMAND, bytes(16_000), source=1)
    recorded.write()
    sorted(recorded.instance.journal_directory.glob("*.seg"))[1].unlink()
    found = verify_instance(recorded.instance.directory)
    assert not found.verified
    assert found.damage.position == 2 << 20
    assert found.entries == sum(position < 2 << 20 for position in recorded.positions)


def test_verifying_writes_nothing(recorded):
    def state():
        return {
            path: (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(recorded.instance.directory.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }

    before = state()
    verify_instance(recorded.instance.directory)
    assert state() == before


def test_an_empty_journal_is_verified(tmp_path):
    prepare_directory(tmp_path / "instance")
    instance = create_instance(tmp_path / "instance")
    found = verify_instance(instance.directory)
    assert (found.verified, found.entries, found.digest) == (True, 0, 0)


def test_what_cannot_be_executed_is_refused_with_the_reason(recorded, tmp_path):
    with pytest.raises(InstanceError):
        verify_instance(tmp_path)
    recorded.lead(content_hash="0" * 64)
    recorded.write()
    with pytest.raises(VersionError, match="without a cutover"):
        verify_instance(recorded.instance.directory)


def test_a_changed_or_missing_plugin_is_refused(recorded):
    store = recorded.instance.plugin_directory(recorded.plugin.content_hash)
    with open(store / "ledger.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    with pytest.raises(StoreError, match="was changed"):
        verify_instance(recorded.instance.directory)
    store.rename(store.with_name("elsewhere"))
    with pytest.raises(StoreError, match="not in the store"):
        verify_instance(recorded.instance.directory)
