"""`statevec demo` from end to end, as a user runs it, and what it says when it cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("STATEVEC_SHARED", Path(__file__).parents[3] / "shared"))
ORDERLY = {"lost": 0, "duplicated": 0, "limit_breaches": 0, "inputs_faulted": 0, "verified": True}


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "statevec.cli.main", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def segments() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if name.startswith("sv-")}


def segments_of(directory: Path) -> set[str]:
    genesis = json.loads((directory / "instance" / "instance.json").read_text())
    return {name for name in segments() if genesis["instance_id"] in name}


def figures_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    figures: dict[str, Any] = json.loads(run.stdout)
    assert run.stdout.count("\n") == 1
    assert {name: figures[name] for name in ORDERLY} == ORDERLY
    assert set(figures["latency_ns"]) == {"p50", "p99", "p999", "max"}
    return figures


def test_a_generated_market_ends_as_it_should_be(tmp_path: Path) -> None:
    run = run_demo("--generated", "1500", "--rate", "1500", "--format", "json", "--directory", str(tmp_path))
    figures = figures_of(run)
    assert figures["ticks"] == 1_500
    assert figures["entries"] > 1_500
    assert figures["orders_placed"] > 0
    assert figures["filled_lots"] > 0
    assert segments_of(tmp_path) == set()


def test_a_real_file_is_played_in_the_interpreted_tier_too(tmp_path: Path) -> None:
    file = SHARED / "data" / "ticks" / "usdjpy-2013-01-quotes.csv"
    if not file.exists():
        pytest.skip("the shared data is not beside the project")
    options = ["--ticks", str(file), "--rate", "1000", "--tier", "interpreted", "--durability", "memory"]
    figures = figures_of(run_demo(*options, "--format", "json"))
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
