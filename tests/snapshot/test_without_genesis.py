"""What still works once the journal's first segments are gone: a snapshot's header says who decided before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from statevec.audit.verify import verify_instance
from statevec.cli.main import run_command
from statevec.engine.deciders import deciders
from statevec.engine.snapshot_file import list_snapshots
from statevec.engine.store import PluginStore
from statevec.journal import entry_layout as layout
from statevec.journal.errors import JournalDamagedError
from statevec.journal.recovery import find_end
from statevec.journal.segments import list_segments
from statevec.roles.shadow_plugins import Range, ShadowError
from statevec.roles.snapshot import newest_snapshot
from statevec.roles.snapshot_taker import take_snapshot
from tests.shadow.versions import DEARER, WIDER, desk_version, shadow_of
from tests.snapshot.histories import RecordedHistory

QUOTES = 20


class Headless(RecordedHistory):
    """Version 1, then 2 in the first segment; a snapshot, then version 3 behind it. The first segment is gone."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "instance")
        self.random_quotes(QUOTES, 1)
        self.cut_over(desk_version(directory, WIDER))
        while len(self.content) < 3 << 20:
            self.append(layout.COMMAND, bytes(16_000), source=1)
        self.write()
        self.taken = take_snapshot(self.instance, "interpreted")
        self.random_quotes(QUOTES, 2)
        self.second = self.cut_over(desk_version(directory, WIDER, DEARER, version="3.0.0"))
        self.random_quotes(QUOTES, 3)
        self.write()
        list_segments(self.instance.journal_directory)[0].path.unlink()


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Headless:
    return Headless(tmp_path_factory.mktemp("headless"))


def test_who_decided_is_known(headless: Headless) -> None:
    first = next(number for number, position in enumerate(headless.positions, 1) if position >= 2 << 20)
    hashes = {each.version: each.content_hash for each in PluginStore(headless.instance.directory).versions()}
    assert [(each.ordinal, each.content_hash, each.first, each.last) for each in deciders(headless.instance)] == [
        (2, hashes["2.0.0"], first, headless.second),
        (3, hashes["3.0.0"], headless.second + 1, headless.execution.sequence),
    ]


def test_entries_are_decoded_with_the_version_that_decided_them(
    headless: Headless, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--instance", str(headless.instance.directory), "--format", "json"]
    assert run_command(["journal", "--from", str(headless.taken.sequence + 1), *words]) == 0
    listed = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert len(listed) == headless.execution.sequence - headless.taken.sequence
    changed = {change["table"] for entry in listed for change in entry["changes"]}
    assert "positions" in changed


def test_it_is_verified_from_the_snapshot_on(headless: Headless) -> None:
    found = verify_instance(headless.instance.directory, "interpreted")
    assert found.verified
    assert (found.started_at, found.digest) == (headless.taken.sequence, headless.execution.digest)


def test_the_end_is_found_from_a_snapshot_and_from_nowhere_else(headless: Headless) -> None:
    snapshot = newest_snapshot(headless.instance)
    assert snapshot is not None
    end = find_end(headless.instance.journal_directory, start=snapshot.header.start)
    assert (end.position, end.sequence) == (len(headless.content), headless.execution.sequence)
    with pytest.raises(JournalDamagedError, match="segments before are missing"):
        find_end(headless.instance.journal_directory)


@pytest.mark.parametrize("mode", ["lockstep", "independent"])
def test_a_shadow_begins_at_the_snapshot(headless: Headless, tmp_path: Path, mode: str) -> None:
    candidate = desk_version(tmp_path, WIDER, DEARER, version="3.0.1")
    found = shadow_of(headless, candidate, mode)  # type: ignore[arg-type]
    assert (found.from_sequence, found.to_sequence) == (headless.taken.sequence + 1, headless.execution.sequence)
    decided = [example.sequence for example in found.first_unexpected]
    assert found.unexpected > 0
    assert headless.taken.sequence < min(decided) <= headless.second
    later = shadow_of(headless, candidate, mode, compared=Range(headless.second + 1))  # type: ignore[arg-type]
    assert later.from_sequence == headless.second + 1
    assert later.compared == headless.execution.sequence - headless.second
    if mode == "lockstep":
        assert later.unexpected == 0
    with pytest.raises(ShadowError, match=f"the first is {headless.taken.sequence + 1}"):
        shadow_of(headless, candidate, mode, compared=Range(headless.taken.sequence - 5))  # type: ignore[arg-type]


def test_a_shadow_without_a_snapshot_says_what_is_missing(tmp_path: Path) -> None:
    headless = Headless(tmp_path)
    for path in list_snapshots(headless.instance.snapshots_directory):
        path.unlink()
    with pytest.raises(ShadowError, match=r"the journal begins there, and no snapshot in .* can be used"):
        shadow_of(headless, desk_version(tmp_path, WIDER, version="3.0.1"), "independent")
