"""A shadow process beside a live engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from statevec.engine.plugin.loader import load_plugin
from statevec.ipc.log import attach_log, log_statistics
from statevec.roles.producer import Producer
from statevec.roles.shadow_report import ShadowReport, read_report
from tests.roles.engine_harness import PLUGIN, STATEVEC, EngineUnderTest, add

WAIT_SECONDS = 60.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineUnderTest]:
    made = EngineUnderTest(tmp_path)
    yield made
    made.clean_up()


def candidate_of(directory: Path) -> Path:
    """A tally that announces one more than there is, above 1,000."""
    copy = directory / "candidate"
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / "tally.py").read_text()
    changed = source.replace('version="1.0.0"', 'version="1.1.0"').replace(
        "        announced.total = account.total\n",
        "        announced.total = account.total\n"
        "        if account.total > 1_000:\n            announced.total = account.total + 1\n",
    )
    assert changed.count("1_000") == source.count("1_000") + 1
    (copy / "tally.py").write_text(changed)
    return copy


def wait_for(engine: EngineUnderTest, shadow: subprocess.Popen[str], candidate: str, sequence: int) -> ShadowReport:
    """The report once it has come to `sequence`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = read_report(engine.instance, candidate)
        if found is not None and found.to_sequence >= sequence:
            return found
        assert shadow.poll() is None, shadow.communicate()
        time.sleep(0.01)
    raise AssertionError(f"shadow did not come to sequence {sequence}: {found}")


def test_a_shadow_catches_up_follows_the_live_log_and_ends_with_a_report(
    engine: EngineUnderTest, tmp_path: Path
) -> None:
    candidate = candidate_of(tmp_path)
    content_hash = load_plugin(candidate).content_hash
    engine.start()
    with Producer(engine.directory, "market") as producer:
        for number in range(500):
            producer.send(add(number % 20, 1, announce=1), WAIT_SECONDS)
        producer.wait_released(500, WAIT_SECONDS)
        with attach_log(engine.instance.instance_id) as log:
            so_far = log_statistics(log)["last_sequence"]  # leadership and rings before them
        command = [*STATEVEC, "shadow", str(candidate), "--instance", str(engine.directory), "--format", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shadow:
            try:
                caught_up = wait_for(engine, shadow, content_hash, so_far)
                assert (caught_up.same, caught_up.finished) == (so_far, False)
                for number in range(500, 600):
                    producer.send(add(number % 20, 1_000, announce=1), WAIT_SECONDS)
                wait_for(engine, shadow, content_hash, so_far + 100)
                shadow.send_signal(signal.SIGTERM)
                output, errors = shadow.communicate(timeout=WAIT_SECONDS)
            finally:
                shadow.kill()
    found = msgspec.json.decode(output, type=ShadowReport)
    assert [json.loads(line)["event"] for line in errors.splitlines()] == ["shadow_differs", "shadow_ended"]
    assert shadow.returncode == 1
    assert (found.compared, found.unexpected, found.caught_up, found.finished) == (
        so_far + 100,
        100,
        True,
        True,
    )
    assert found.first_unexpected[0].differences[0].path == "outputs.Total[0].total"
    assert engine.stop() == 0
    assert not [name for name in os.listdir(engine.directory) if name.endswith(".tmp")]
