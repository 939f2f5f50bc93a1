"""`statevec backtest` as a user runs it: several runs side by side, its forms of output, what it refuses, Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from statevec.audit.backtest_surroundings import BacktestError
from statevec.cli.main import run_command
from statevec.demo.backtest_pool import run_tasks
from statevec.demo.backtest_task import Market, Result, Task
from statevec.demo.backtest_worker import work
from statevec.demo.instruments import Instruments
from statevec.demo.market import generate_ticks
from statevec.demo.ticks import write_ticks
from statevec.engine.plugin.loader import load_plugin
from tests.audit.recorded_hedge import HEDGE, RecordedHedge

COMMAND = [sys.executable, "-m", "statevec.cli.main", "backtest"]
SHARED = Path(os.environ.get("STATEVEC_SHARED", Path(__file__).parents[3] / "shared"))
SEED = 3


def tasks(count: int, ticks: int = 300) -> list[Task]:
    market = Market("EURUSD", None, ticks, 200_000, SEED)
    content_hash = load_plugin(HEDGE).content_hash
    settings = [{"position_limit": 20 * number} for number in range(1, count + 1)]
    return [Task(n, str(HEDGE), content_hash, "interpreted", each, market) for n, each in enumerate(settings, 1)]


def without_times(results: list[Result]) -> list[Result]:
    return [msgspec.structs.replace(each, seconds=0, entries_per_second=0) for each in results]


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = run_command(["backtest", *arguments])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


def test_workers_give_the_results_of_this_process_in_the_order_of_the_tasks() -> None:
    shown: list[float] = []
    parallel = run_tasks(tasks(3), 2, shown.append)
    alone = run_tasks(tasks(3), 1, shown.append)
    assert without_times(parallel) == without_times(alone)
    assert [each.number for each in alone] == [1, 2, 3]
    assert len({each.digest for each in alone}) == 3
    assert max(shown) == 3


def test_runs_that_another_worker_has_are_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_bytes(msgspec.json.encode(tasks(2, ticks=20)))
    (tmp_path / "1.claimed").touch()
    work(tmp_path)
    assert sorted(each.name for each in tmp_path.glob("*.result")) == ["2.result"]


def test_a_plugin_that_changed_since_it_was_checked_is_not_run(tmp_path: Path) -> None:
    other = msgspec.structs.replace(tasks(1)[0], content_hash="0" * 32)
    with pytest.raises(BacktestError, match="the plugin changed meanwhile"):
        run_tasks([other], 1, lambda done: None)
    (tmp_path / "tasks.json").write_bytes(msgspec.json.encode([other]))
    with pytest.raises(BacktestError, match="the plugin changed meanwhile"):
        work(tmp_path)


def test_the_table_has_a_row_for_each_run_and_marks_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--generated", "400", "--tier", "interpreted", "--jobs", "1", "--sort", "filled_lots"]
    shown = output_of(capsys, "hedge", *options, "--set", "position_limit=10,100", "--set", "price_band=50")
    title, *lines = shown.splitlines()
    assert title.rstrip() == "Backtest, 2 runs of hedge@1.0.0, money in USD price_band=50"
    rows = [line.split() for line in lines if line.split() and line.split()[0] in ("best", "worst")]
    assert [row[:3] for row in rows] == [["best", "2", "100"], ["worst", "1", "10"]]


def test_json_and_csv_have_the_figures_of_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["hedge", "hedge_v2", "--generated", "300", "--tier", "interpreted", "--jobs", "1"]
    options += ["--set", "desk.seed=1,2", "--format"]
    found = json.loads(output_of(capsys, *options, "json"))["runs"]
    rows = list(csv.DictReader(io.StringIO(output_of(capsys, *options, "csv"))))
    assert [each["plugin"] for each in found] == ["hedge@1.0.0"] * 2 + ["hedge@2.0.0"] * 2
    assert [row["digest"] for row in rows] == [each["digest"] for each in found]
    assert [int(row["orders_placed"]) for row in rows] == [each["figures"]["orders_placed"] for each in found]
    assert [row["desk.seed"] for row in rows] == ["1", "2", "1", "2"]


def test_ticks_of_a_file_give_what_the_same_ticks_gave(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instrument = Instruments.load().get("EURUSD")
    file = tmp_path / "quotes.csv"
    write_ticks(file, generate_ticks(instrument, 300, 1), instrument)
    options = ["--tier", "interpreted", "--jobs", "1", "--format", "json"]
    of_file = json.loads(output_of(capsys, "hedge", "--ticks", str(file), *options))["runs"][0]
    made_up = json.loads(output_of(capsys, "hedge", "--generated", "300", *options))["runs"][0]
    assert of_file["digest"] == made_up["digest"]
    assert of_file["figures"] == made_up["figures"]


def test_real_quotes_are_played(capsys: pytest.CaptureFixture[str]) -> None:
    file = SHARED / "data" / "ticks" / "usdjpy-2013-01-quotes.csv"
    if not file.exists():
        pytest.skip("the shared data is not beside the project")
    options = ["--tier", "interpreted", "--jobs", "1", "--format", "json", "--set", "max_order_age_ns=60000000000"]
    found = json.loads(output_of(capsys, "hedge", "--ticks", str(file), *options))["runs"][0]["figures"]
    assert (found["ticks"], found["currency"], found["limit_breaches"]) == (1_000, "JPY", 0)
    assert found["filled_lots"] > 0


def test_a_journal_is_run_with_a_version_of_its_own_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = RecordedHedge(tmp_path / "instance", SEED)
    made.run(300)
    made.write()
    options = ["hedge@1.0.0", "--instance", str(tmp_path / "instance"), "--tier", "interpreted", "--jobs", "1"]
    same = json.loads(output_of(capsys, *options, "--format", "json"))["runs"][0]
    assert same["figures"]["reproduced"] is True
    assert same["entries"] == made.execution.sequence
    shown = output_of(capsys, *options, "--to", "200")
    assert "Inputs are recorded answers, not those that other orders would have had" in shown
    assert ["1", "200"] in [line.split()[:2] for line in shown.splitlines()]


def test_the_picture_is_a_png_or_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    options = [
        "hedge",
        "--generated",
        "200",
        "--tier",
        "interpreted",
        "--jobs",
        "1",
        "--set",
        "position_limit=20:60:20",
    ]
    for name, begins in (("out.png", b"\x89PNG"), ("out.html", b"<!doctype html>")):
        output_of(capsys, *options, "--plot", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert "position_limit=60" in (tmp_path / "out.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hedge"], "what to run over"),
        (["hedge", "--generated", "5", "--to", "3"], "--to is for a journal"),
        (["hedge", "--generated", "5", "--plot", "x.gif"], "ends in none of .png, .html: x.gif"),
        (["hedge", "--generated", "5", "--latency", "5"], "a duration is a whole number and one of"),
        (["nothing", "--generated", "5"], "'nothing' is no directory and none of hedge, hedge_v2"),
        (["hedge", "--generated", "5", "--instrument", "XYZ"], "no instrument 'XYZ'"),
        (["hedge", "--generated", "5", "--set", "OPEN_ORDERS_MAX=3"], "is a constant of hedge.py"),
        (["hedge", "--generated", "5", "--sort", "luck", "--tier", "interpreted"], "no such figure: 'luck'"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["backtest", *arguments]) != 0
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert text in error


def test_a_bad_line_of_a_tick_file_is_named_before_any_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eurusd.csv"
    file.write_text("20200101 170000065,1.121200,1.121100,0\n")
    assert run_command(["backtest", "hedge", "--ticks", str(file)]) == 1
    assert "eurusd.csv:1: bid above ask" in capsys.readouterr().err


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [each for each in process.children(recursive=True) if "statevec.demo.backtest_worker" in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return found


def test_interrupted_it_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    options = ["hedge", "--generated", "2000", "--set", "desk.seed=1:500:1", "--jobs", "2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*COMMAND, *options, "--tier", "interpreted"]
    running = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        whole = psutil.Process(running.pid)
        while running.poll() is None and not list(tmp_path.glob("*/*.claimed")):
            pass
        started = workers_of(whole)
        assert started
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=60)
        assert (running.returncode, out, error.strip()) == (1, "", "error: interrupted")
        assert not any(each.is_running() for each in started)
        assert list(tmp_path.iterdir()) == []
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait(60)
