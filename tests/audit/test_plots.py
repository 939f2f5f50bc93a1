"""Pictures from a journal: their figures against what plain loops find, and what comes out as PNG and as a page."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statevec.audit import plots_figures
from statevec.audit.journal_columns import Journal
from statevec.audit.plots_exposure import BUY, FINAL_STATUSES, exposure
from statevec.audit.plots_figures import PlotError, thin
from statevec.audit.plots_flow import lag, latency, throughput
from statevec.cli.main import run_command
from statevec.engine.instance import Instance, create_instance, prepare_directory
from statevec.ipc.log_layout import UNIT
from statevec.journal.admin_layout import BY_OPERATOR, Cutover, leadership
from statevec.journal.entry_layout import CUTOVER, LEADERSHIP
from statevec.journal.segments import create_segment, list_segments
from statevec.state.delta_layout import DELETED
from tests.audit.recorded_hedge import RecordedHedge
from tests.journal.entry_maker import EntryMaker

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
CUTS = Cutover(2, 1, BY_OPERATOR, "x", "2.0.0", "1" * 32).encode()
LEADS = leadership(
    epoch=1, instance_id=1, wall_clock_ns=START, limits=(UNIT, 1, 1, 1), logic_version=1, durability=1,
    engine_version="0", plugin_name="x", plugin_version="1.0.0", content_hash="0" * 32,
)  # fmt: skip


def write(instance: Instance, content: bytes) -> None:
    create_segment(instance.journal_directory, 0, 4 * UNIT, zeros=False)
    with open(list_segments(instance.journal_directory)[0].path, "r+b") as file:
        file.write(content)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    prepare_directory(tmp_path / "instance")
    return create_instance(tmp_path / "instance")


@pytest.fixture(scope="module")
def hedge(tmp_path_factory: pytest.TempPathFactory) -> RecordedHedge:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    recorded = RecordedHedge(tmp_path_factory.mktemp("hedge") / "instance", seed)
    recorded.run(600)
    recorded.cut_over()
    recorded.run(200)
    recorded.write()
    return recorded


def test_latency_is_that_of_inputs_that_say_when_they_were_sent(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots_figures, "CHUNK_ENTRIES", 100)
    maker, late = EntryMaker(unit=UNIT), []
    content = maker.entry(LEADS, kind=LEADERSHIP, sent_ns=1)
    for number in range(1_000):
        late.append(0 if number % 50 == 0 else 1_000 * number)
        content += maker.entry(b"x", sent_ns=START, timestamp_ns=START + late[-1])
    content += maker.entry(b"unsaid", sent_ns=0, timestamp_ns=START) + maker.entry(b"", sent_ns=START, timestamp_ns=1)
    write(instance, content)
    picture = latency(Journal(instance.directory), None, None)
    rows = dict(picture.rows)
    assert rows["inputs"] == "1,001"
    assert rows["p50, µs"] == f"{np.percentile([*late, 0], 50) / 1_000:,.0f}"
    assert rows["highest, µs"] == "999"
    assert rows["sent within the turn that took them"] == "21"
    assert picture.panels[0].bars[0].heights.sum() == 1_001 - 21
    assert dict(latency(Journal(instance.directory), 2, 11).rows)["inputs"] == "10"
    with pytest.raises(PlotError, match="no input in this range says when it was sent"):
        latency(Journal(instance.directory), 1, 1)


def test_throughput_counts_entries_by_time_and_marks_events(instance: Instance) -> None:
    maker = EntryMaker(unit=UNIT)
    content = maker.entry(LEADS, kind=LEADERSHIP, timestamp_ns=START)
    for number in range(400):
        outcome = {"outcome": 3 if number % 4 == 0 else -3 if number % 10 == 1 else 0}
        content += maker.entry(b"x", timestamp_ns=START + number * SECOND // 100, **outcome)
    content += maker.entry(CUTS, kind=CUTOVER, timestamp_ns=START + 4 * SECOND)
    maker.epoch = 2
    content += maker.entry(LEADS, kind=LEADERSHIP, timestamp_ns=START + 5 * SECOND)
    write(instance, content)
    picture = throughput(Journal(instance.directory), None, None)
    rows = dict(picture.rows)
    assert (rows["entries"], rows["seconds"], rows["rejected"], rows["faulted"]) == ("403", "5", "100", "40")
    assert (rows["cutover at sequence"], rows["epoch 2 at sequence"]) == ("402", "403")
    assert [(mark.x, mark.label) for mark in picture.panels[0].marks] == [(4.0, "cutover"), (5.0, "epoch 2")]
    counted = {line.label: line.y.sum() * (5 / len(line.y)) for line in picture.panels[0].lines}
    assert {label: round(value) for label, value in counted.items()} == {"entries": 403, "rejected": 100, "faulted": 40}


def test_the_gap_around_an_event_is_measured(instance: Instance) -> None:
    maker, at = EntryMaker(unit=UNIT), START
    content = maker.entry(LEADS, kind=LEADERSHIP, timestamp_ns=START)
    for kind in [{}] * 20 + [{"kind": CUTOVER}] + [{}] * 20:
        at += 7_000_000 if kind else 1_000
        content += maker.entry(CUTS if kind else b"x", timestamp_ns=at, sent_ns=at - 500, **kind)
    write(instance, content)
    journal = Journal(instance.directory)
    rows = dict(lag(journal, None, 5).rows)
    assert rows["event"] == "cutover, sequence 22"
    assert (rows["gap before it, µs"], rows["gap behind it, µs"], rows["longest gap shown, µs"]) == (
        "7,000",
        "1",
        "7,000",
    )
    assert (rows["latest input shown, µs"], rows["entries shown"]) == ("0.5", "11")
    assert dict(lag(journal, 1, 3).rows)["entries shown"] == "4"
    with pytest.raises(PlotError, match="sequence=99 first=1 last=42"):
        lag(journal, 99)


def remaining(order: dict[str, Any], contained: int) -> int:
    most = order["filled"] if order["status"] in FINAL_STATUSES else order["quantity"]
    return max(0, int(most - max(order["settled"], contained)))


def worst_case(journal: Journal, instrument: int) -> tuple[int, int]:
    """Highest position and highest worst case of the same definition, entry by entry."""

    def rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    changes = [("position", row) for row in rows(journal.versions("positions")) if row["instrument"] == instrument]
    changes += [("order", row) for row in rows(journal.versions("orders")) if row["instrument"] == instrument]
    sequences = sorted({int(row["sequence"]) for _, row in changes})
    updates = sorted(rows(journal.columns("OrderUpdate")), key=lambda row: int(row["venue_sequence"]))
    position, known, orders = 0, 0, {}
    highest_position = highest = 0
    for sequence in sequences:
        for what, row in changes:
            if row["sequence"] != sequence:
                continue
            if what == "position":
                position, known = int(row["quantity"]), int(row["venue_sequence"])
            elif row["operation"] == DELETED:
                orders.pop(int(row["order_id"]), None)
            else:
                orders[int(row["order_id"])] = row
        contained: dict[int, int] = {}
        for update in updates:
            if update["venue_sequence"] <= known:
                contained[int(update["order_id"])] = int(update["filled_quantity"])
        open_lots = {
            side: sum(
                remaining(order, contained.get(order_id, 0))
                for order_id, order in orders.items()
                if (order["side"] == BUY) == side
            )
            for side in (True, False)
        }
        highest_position = max(highest_position, abs(position))
        highest = max(highest, position + open_lots[True], open_lots[False] - position)
    return highest_position, highest


@pytest.mark.parametrize("instrument", [1, 2, 3])
def test_exposure_is_what_a_walk_over_all_changes_finds(
    hedge: RecordedHedge, instrument: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots_figures, "CHUNK_ENTRIES", 100)
    journal = Journal(hedge.instance.directory)
    rows = dict(exposure(journal, None, None, instrument).rows)
    position, worst = worst_case(journal, instrument)
    assert (rows["highest position, lots"], rows["highest worst case, lots"]) == (f"{position:,}", f"{worst:,}")


def test_a_fill_that_the_position_contains_already_counts_once(tmp_path: Path) -> None:
    recorded = RecordedHedge(tmp_path / "instance", seed=1)
    quote = {"bid_price": 1_000, "ask_price": 1_001, "bid_size": 50, "ask_size": 50, "exchange_time_ns": 1}
    recorded.say("MarketData", {"instrument": 1, **quote})
    recorded.say("HedgeIntent", {"instrument": 1, "target_quantity": 7})
    ((order_id, quantity),) = recorded._open.items()
    recorded.say("PositionUpdate", {"instrument": 1, "venue_sequence": 2, "quantity": quantity})
    update = {"order_id": order_id, "venue_sequence": 1, "status": "FILLED", "filled_quantity": quantity}
    recorded.say("OrderUpdate", {**update, "last_price": 1_000})
    recorded.write()
    rows = dict(exposure(Journal(recorded.instance.directory), None, None, 1).rows)
    assert rows["highest position, lots"] == rows["highest worst case, lots"] == str(quantity)


def test_exposure_says_what_it_cannot_draw(hedge: RecordedHedge, instance: Instance) -> None:
    journal = Journal(hedge.instance.directory)
    with pytest.raises(PlotError, match=r"instrument=77 there=\[1, 2, 3\]"):
        exposure(journal, None, None, 77)
    with pytest.raises(PlotError, match="leave out --from"):
        exposure(journal, 5, None, 1)
    with pytest.raises(PlotError, match="the journal holds no entry"):
        latency(Journal(instance.directory), None, None)


def test_a_thinned_line_keeps_its_extremes() -> None:
    y = np.random.default_rng(5).normal(size=100_000)
    x, kept = thin(np.arange(len(y)), y)
    assert len(kept) <= plots_figures.POINTS_MOST + 2
    assert (kept.min(), kept.max(), x[0], x[-1]) == (y.min(), y.max(), 0, len(y) - 1)


def pixels(content: bytes) -> bytes:
    """The unpacked image data of a PNG whose check sums hold."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    data, place = b"", 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunk = content[place + 4 : place + 8 + length]
        assert zlib.crc32(chunk) == struct.unpack_from(">I", content, place + 8 + length)[0]
        data += chunk[4:] if chunk[:4] == b"IDAT" else b""
        place += 12 + length
    return zlib.decompress(data)


def test_the_command_writes_a_picture_or_a_page(
    hedge: RecordedHedge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        return run_command(["plot", *words, "--instance", str(hedge.instance.directory)])

    assert run("exposure", "--out", str(tmp_path / "exposure.png"), "--format", "json") == 0
    figures = json.loads(capsys.readouterr().out)["exposure"]
    assert figures["instrument"] in ("1", "2", "3")
    assert len(set(pixels((tmp_path / "exposure.png").read_bytes()))) > 20
    assert run("exposure", "lag", "throughput", "--out", str(tmp_path / "all.html")) == 0
    page = (tmp_path / "all.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert f"<td>{figures['highest worst case, lots']}</td>" in page
    capsys.readouterr()
    for words, status, message in (
        (("latency", "--out", str(tmp_path / "a.png")), 1, "no input in this range says when it was sent"),
        (("lag", "--out", str(tmp_path / "a.gif")), 2, "ends in none of .png, .html"),
        (("lag", "exposure", "--out", str(tmp_path / "a.png")), 2, "a .png holds one picture, got 2"),
        (("throughput", "--from", "9", "--to", "3", "--out", str(tmp_path / "a.png")), 2, "from=9 to=3"),
        (("throughput", "--from", "9999", "--out", str(tmp_path / "a.png")), 1, "from=9999"),
    ):
        assert run(*words) == status
        assert message in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
