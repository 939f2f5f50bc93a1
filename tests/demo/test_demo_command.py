"""`statevec demo` from end to end, as a user runs it, and what it says when it cannot run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.children import still_there

SHARED = Path(os.environ.get("STATEVEC_SHARED", Path(__file__).parents[3] / "shared"))
ORDERLY = {"lost": 0, "duplicated": 0, "limit_breaches": 0, "inputs_faulted": 0, "verified": True}


COMMAND = [sys.executable, "-m", "statevec.cli.main", "demo"]


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600, check=False)


def instance_id(directory: Path) -> str:
    return str(json.loads((directory / "instance" / "instance.json").read_text())["instance_id"])


def segments_of(instance: str) -> list[str]:
    return [name for name in os.listdir("/dev/shm") if name.startswith("sv-") and instance in name]


def figures_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    figures: dict[str, Any] = json.loads(run.stdout)
    assert run.stdout.count("\n") == 1
    assert {name: figures[name] for name in ORDERLY} == ORDERLY
    assert set(figures["latency_ns"]) == {"p50", "p99", "p999", "max"}
    return figures


def test_a_generated_market_ends_as_it_should_be(tmp_path: Path) -> None:
    run = run_demo("--generated", "3000", "--rate", "600", "--format", "json", "--directory", str(tmp_path))
    figures = figures_of(run)
    assert figures["ticks"] == 3_000
    assert figures["entries"] > 3_000
    assert figures["orders_placed"] > 0
    assert segments_of(instance_id(tmp_path)) == []
    upgrade = figures["upgrade"]
    assert (upgrade["from"], upgrade["to"], upgrade["unexpected"]) == ("1.0.0", "2.0.0", 0)
    assert upgrade["compared"] == upgrade["same"] + upgrade["expected"] >= 375
    assert upgrade["decided"]["1.0.0"] == upgrade["last_of_old"] == upgrade["sequence"]
    assert sum(upgrade["decided"].values()) == figures["entries"]
    failover = figures["failover"]
    assert failover["epochs"] == 2
    assert failover["sequence"] > upgrade["sequence"]


def test_a_real_file_is_played_in_the_interpreted_tier_too(tmp_path: Path) -> None:
    file = SHARED / "data" / "ticks" / "usdjpy-2013-01-quotes.csv"
    if not file.exists():
        pytest.skip("the shared data is not beside the project")
    options = ["--ticks", str(file), "--rate", "2000", "--tier", "interpreted", "--durability", "memory"]
    figures = figures_of(run_demo(*options, "--no-upgrade", "--no-failover", "--format", "json"))
    assert (figures["upgrade"], figures["failover"]) == (None, None)
    assert (figures["instrument"], figures["ticks"]) == ("USDJPY", 1_000)


def test_a_broken_tick_line_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    file = tmp_path / "eurusd.csv"
    file.write_text("20200101 170000065,1.121200,1.121720,0\n20200101 170010447,1.12x,1.121920,0\n")
    run = run_demo("--ticks", str(file))
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.splitlines()[-1] == f"error: {file}:2: not a price: '1.12x'"


def test_a_rate_and_a_speed_exclude_each_other() -> None:
    run = run_demo("--rate", "5", "--speed", "2")
    assert run.returncode == 2
    assert "--rate and --speed exclude each other" in run.stderr


def test_a_directory_with_an_instance_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    run = run_demo("--directory", str(tmp_path))
    assert run.returncode == 1
    assert "a demonstration starts with a new instance, and there is one" in run.stderr


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [*COMMAND, "--generated", "100000", "--rate", "500", "--no-upgrade", "--no-failover"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "playing the market" in line:
                break
        instance = instance_id(next(tmp_path.iterdir()))
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(segments_of(instance)) > 3
        assert len(children) == 5  # engine and the holder of its memory, venue, desk, feed
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == "error: interrupted"
        assert process.wait(60) == 1
    assert still_there(children) == []
    assert segments_of(instance) == []
    assert list(tmp_path.iterdir()) == []
