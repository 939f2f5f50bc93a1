"""The journal as columns says what every entry says when it is decoded one by one in Python."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statevec import Journal
from statevec.audit.journal_columns import UnknownNameError
from statevec.engine.version_lookup import UnreadableVersionError
from statevec.ipc.kernel import plain
from statevec.journal.column_kernels import PAST_LAST, gather
from statevec.journal.column_layout import CHANGES, ENTRIES, INPUTS, OUTPUTS
from statevec.journal.column_plan import ColumnPlan, Part, fits_plan
from statevec.journal.errors import JournalDamagedError, SequenceNotFoundError
from statevec.journal.reader import JournalReader, make_cursor
from tests.audit.decoded_history import DecodedHistory
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import desk_history, hedge_history

HISTORIES = {"desk": desk_history, "hedge": hedge_history}


@pytest.fixture
def seed() -> int:
    made = random.randrange(1 << 30)
    print(f"seed={made}")
    return made


def rows_of(columns: dict[str, Any], enums: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Columns as dictionaries, one for each row; masked values are left out."""
    count = len(next(iter(columns.values()))) if columns else 0
    found = []
    for number in range(count):
        row = {}
        for name, values in columns.items():
            value = values[number]
            if value is np.ma.masked:
                continue
            plain_value = value.item()
            row[name] = plain_value.decode() if isinstance(plain_value, bytes) else plain_value
        for name, enum in (enums or {}).items():
            row[name] = enum(row[name]).name
        found.append(row)
    return found


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Each expected row is the found one, in the fields that are expected."""
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        assert {name: got.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("room", [1 << 13, 7])
def test_messages_and_records_are_those_of_every_entry(
    tmp_path: Path, seed: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through two cutovers, one with a migration, and with plans that are full again and again."""
    make = ColumnPlan.__init__
    monkeypatch.setattr(ColumnPlan, "__init__", lambda *args, **more: make(*args, **{**more, "room": room}))
    recorded = desk_history(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    journal = Journal(recorded.instance.directory)
    same(rows_of(journal.columns("Quote")), oracle.inputs("Quote"))
    same(rows_of(journal.outputs("Order")), oracle.outputs("Order"))
    same(rows_of(journal.outputs("Cancel")), oracle.outputs("Cancel"))
    expected = [
        {"sequence": change["sequence"], "version": change["version"], "row": change["row"], **change["fields"]}
        for change in oracle.changes("positions")
    ]
    versions = journal.versions("positions")
    same(rows_of(versions), expected)
    assert np.ma.is_masked(versions["refused"]), "a field that the first version does not have"
    entries = journal.entries()
    assert entries["sequence"].tolist() == [entry.sequence for entry in oracle.entries]
    for name in ("kind", "position", "timestamp_ns", "source", "outcome", "logic_version", "digest", "length"):
        assert entries[name].tolist() == [getattr(entry, name) for entry in oracle.entries], name


def test_enums_and_optional_fields_are_numbers_in_arrays_and_words_in_arrow(tmp_path: Path, seed: int) -> None:
    recorded = hedge_history(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    journal = Journal(recorded.instance.directory)
    schema = recorded.plugin.schema
    found = rows_of(
        journal.outputs("PlaceOrder"), {"side": schema.enum("Side"), "time_in_force": schema.enum("TimeInForce")}
    )
    same(found, oracle.outputs("PlaceOrder"))
    assert found, "there is something to compare"
    orders = journal.arrow("PlaceOrder")
    assert orders["side"].to_pylist() == [row["side"] for row in oracle.outputs("PlaceOrder")]
    changes = list(oracle.changes("orders"))
    versions = journal.arrow("orders")
    assert versions["status"].to_pylist() == [change["fields"]["status"] for change in changes]
    assert versions["operation"].to_pylist() == [change["operation"] for change in changes]
    assert str(versions.schema.field("time").type) == "timestamp[ns]"
    settings = journal.arrow("RiskConfig")
    assert settings["position_limit"].to_pylist() == [row["position_limit"] for row in oracle.inputs("RiskConfig")]
    assert settings.column_names.count("time") == 1


def test_what_a_message_left_out_is_null(tmp_path: Path) -> None:
    recorded = RecordedInstance(tmp_path / "instance", Path("statevec/plugins/hedge"))
    recorded.append(1, recorded.plugin.schema.encode("RiskConfig", {"instrument": 1, "price_band": 5}), source=1)
    recorded.write()
    journal = Journal(recorded.instance.directory)
    found = journal.columns("RiskConfig")
    null = recorded.plugin.schema.messages["RiskConfig"].fields[0].null
    assert found["position_limit"].tolist() == [null]
    assert journal.arrow("RiskConfig")["position_limit"].null_count == 1
    assert journal.arrow("RiskConfig")["risk_switch"].null_count == 1
    assert journal.arrow("RiskConfig")["price_band"].to_pylist() == [5]


def test_first_and_last_are_sequences_both_included(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    journal = Journal(recorded.instance.directory)
    source = random.Random(seed)
    everything = journal.columns("Quote")["sequence"].tolist()
    last = recorded.execution.sequence
    for _ in range(10):
        low, high = sorted((source.randrange(1, last + 1), source.randrange(1, last + 1)))
        found = journal.columns("Quote", first=low, last=high)["sequence"].tolist()
        assert found == [sequence for sequence in everything if low <= sequence <= high]
    with pytest.raises(SequenceNotFoundError):
        journal.columns("Quote", first=last + 1)


def test_a_name_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, seed: int) -> None:
    journal = Journal(desk_history(tmp_path, seed).instance.directory)
    with pytest.raises(UnknownNameError, match="no message 'Quotes'; there are: Cancel, Order, Quote"):
        journal.columns("Quotes")
    with pytest.raises(UnknownNameError, match=r"no table 'position'; there are: .*positions"):
        journal.versions("position")


def test_entries_of_a_damaged_version_are_named_or_left_out(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    expected = oracle.inputs("Quote")
    damaged = recorded.instance.plugin_directory(recorded.plugin.content_hash) / "desk.py"
    damaged.write_text(damaged.read_text() + "\n# changed\n")
    journal = Journal(recorded.instance.directory)
    with pytest.raises(UnreadableVersionError, match=r"logic_version=3.*desk.py was changed"):
        journal.columns("Quote")
    found = rows_of(journal.columns("Quote", skip_unreadable=True))
    last_readable = max(entry.sequence for entry in oracle.entries if entry.logic_version != 3)
    same(found, [row for row in expected if row["sequence"] <= last_readable])
    assert len(journal.problems) == 1 and "desk.py was changed" in journal.problems[0]
    assert len(journal.entries()["sequence"]) == recorded.execution.sequence


def test_a_damaged_journal_is_readable_up_to_the_damage(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    broken = recorded.execution.sequence // 2
    recorded.overwrite(recorded.positions[broken - 1] + 130, b"\xff\xff")
    journal = Journal(recorded.instance.directory)
    with pytest.raises(JournalDamagedError) as caught:
        journal.entries()
    assert caught.value.sequence == broken
    assert len(journal.entries(last=broken - 1)["sequence"]) == broken - 1


def test_the_plain_kernel_gathers_the_same_rows(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    tables = {"positions": 4}
    parts = [
        Part(ENTRIES),
        Part(INPUTS, recorded.plugin.schema.messages["Quote"].id, 20),
        Part(OUTPUTS, recorded.plugin.schema.messages["Order"].id, 28),
        Part(CHANGES, tables["positions"], 32),
    ]
    reader = JournalReader(recorded.instance.journal_directory)
    segment = reader.segments[0]
    rows = []
    for form in (gather, plain(gather)):
        plan = ColumnPlan(0, recorded.plugin.schema, parts, room=1_000, last=60)
        cursor = make_cursor(0)
        answer = 0
        while answer >= 0:
            answer = form(reader.region(segment), segment.first, cursor, plan.block)
        assert answer == PAST_LAST
        rows.append([plan.rows(number).tobytes() for number in range(len(parts))])
    assert rows[0] == rows[1]
    assert all(rows[0])


def test_a_part_with_a_number_that_no_plan_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="too high a number"):
        ColumnPlan(1, None, [Part(CHANGES, 1 << 16, 8)])
    assert fits_plan(Part(CHANGES, (1 << 16) - 1))
