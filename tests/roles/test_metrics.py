"""The exporter: scraped once from a real engine, compared with the sample and with the documented list."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from statevec.cli.main import run_command
from statevec.ipc.counters import Histogram
from statevec.ipc.counters_kernels import bucket_of
from statevec.ipc.counters_layout import BUCKET_COUNT
from statevec.roles.metric_catalogue import BUCKET_SECONDS, METRICS, metrics_table
from statevec.roles.metrics import MetricsExporter, buckets_of
from statevec.roles.producer import Producer
from tests.roles.engine_harness import STATEVEC, EngineUnderTest, add

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "<!-- metrics -->\n", "\n<!-- end of metrics -->"
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    running = EngineUnderTest(tmp_path_factory.mktemp("metrics"), more='[[gateway]]\nname = "notes"\n')
    try:
        running.start()
        with Producer(running.directory, "market") as producer:
            for number in range(100):
                producer.send(add(number, -1 if number % 4 == 0 else 1), WAIT_SECONDS)
            producer.wait_released(producer.sequence, WAIT_SECONDS)
        yield running
    finally:
        running.clean_up()


def families(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Value of each sample by its name and labels but for the instance's."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "instance_id"))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_a_scrape_has_every_documented_metric_and_no_other(engine: EngineUnderTest) -> None:
    with MetricsExporter(engine.instance) as exporter:
        port = exporter.serve("127.0.0.1", 0)
        exporter.look()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS) as answer:
            text = answer.read().decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert names == set(METRICS)
    found = families(text)
    absent = {"statevec_standby_lag_bytes", "statevec_shadow_compared_total", "statevec_shadow_unexpected_total"}
    assert set(METRICS) - set(found) == {*absent, "statevec_latency_seconds"}  # which has names of its own
    sequence = len(engine.entries_so_far())
    assert found["statevec_entries_total"] == {(): sequence}
    assert found["statevec_is_leader"] == {(): 1}
    assert found["statevec_up"] == {(): 1}
    assert found["statevec_observed_entries_total"] == {
        (("outcome", "COMMITTED"),): 75,
        (("outcome", "REJECTED(1)"),): 25,
    }
    assert found["statevec_ring_messages_total"][("ring", "market"),] == 100
    assert found["statevec_ring_producer"][("ring", "market"),] == 0
    assert found["statevec_latency_seconds_count"] == {(): 100}
    buckets = list(found["statevec_latency_seconds_bucket"].values())
    assert buckets == sorted(buckets)
    assert buckets[-1] == 100
    assert f'instance_id="{engine.instance.genesis.instance_id}"' in text


def test_the_page_lists_the_metrics() -> None:
    page = (ROOT / "docs" / "live.md").read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == metrics_table()


def test_a_bucket_holds_what_is_certainly_below_its_bound() -> None:
    source = np.random.default_rng(7)
    values = np.exp(source.uniform(0, np.log(5e10), 5_000)).astype(np.int64)
    counts = np.zeros(BUCKET_COUNT, np.int64)
    for value in values:
        counts[bucket_of(int(value))] += 1
    found = buckets_of(Histogram(counts, int(values.sum()), int(values.max())))
    for bound, (name, count) in zip(BUCKET_SECONDS, found, strict=False):
        assert float(name) == pytest.approx(bound)
        exact = int((values <= bound * 1e9).sum())
        assert int((values <= bound * 1e9 * 31 / 32).sum()) <= count <= exact
    assert found[-1] == ("+Inf", 5_000.0)


def test_the_command_prints_once_or_serves(engine: EngineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["metrics", "--instance", str(engine.directory), "--once"]) == 0
    assert families(capsys.readouterr().out)["statevec_epoch"] == {(): 1}
    words = [*STATEVEC, "metrics", "--instance", str(engine.directory), "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=WAIT_SECONDS) as answer:
            assert "statevec_up" in answer.read().decode()
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_look_that_fails_is_down_and_the_next_may_be_up(engine: EngineUnderTest, tmp_path: Path) -> None:
    with MetricsExporter(engine.instance) as exporter:
        engine.directory.rename(tmp_path / "elsewhere")
        exporter.look()
        (tmp_path / "elsewhere").rename(engine.directory)
        found = families(exporter.text())
        assert found["statevec_up"] == {(): 0}
        assert "statevec_entries_total" not in found
        exporter.look()
        assert families(exporter.text())["statevec_up"] == {(): 1}
