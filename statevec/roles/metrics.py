"""`MetricsExporter`: an instance's sample as metrics for Prometheus, on a port of this host.

    thread: look 4 times a second ─► the last Sample ─► scrape: families of `metric_catalogue` ─► text

Invariants
    A scrape reads what the last look found and disturbs nobody; the engine does not know of the exporter.
    A look that fails leaves `statevec_up` at 0 and nothing else, until one succeeds.

Private memory of the exporter. A crash leaves nothing; counts of what was looked at begin anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from statevec.engine.instance import Instance
from statevec.ipc.counters import Histogram, bucket_bounds
from statevec.ipc.counters_layout import BUCKET_COUNT
from statevec.ipc.faults import outcome_name
from statevec.roles.live import Looker
from statevec.roles.live_sample import LEADS, Sample
from statevec.roles.metric_catalogue import BUCKET_SECONDS, COUNTER, HISTOGRAM, METRICS

LOOK_SECONDS = 0.25
INSTANCE_LABEL = "instance_id"
RESULTS = ("committed", "rejected", "faulted")

Values = dict[str, list[tuple[tuple[str, ...], float]]]
"""By metric: its labels' values and its value."""


def values_of(sample: Sample) -> Values:
    """Every metric of a sample but the histogram."""
    log, counters, observed = sample.log, sample.counters, sample.observed
    found: Values = {name: [] for name in METRICS}

    def put(name: str, value: float | None, *labels: str) -> None:
        if value is not None:
            found[name].append((labels, float(value)))

    put("statevec_up", 1)
    put("statevec_is_leader", sample.state == LEADS)
    put("statevec_halted", bool(sample.halted) or (log is not None and log.halted))
    if sample.leader is not None:
        put("statevec_epoch", sample.leader.epoch)
        put("statevec_version_info", 1, sample.decides, sample.content_hash)
    if log is not None:
        put("statevec_heartbeat_age_seconds", log.heartbeat_age_ns / 1e9)
        put("statevec_entries_total", log.last_sequence)
        put("statevec_log_bytes_total", log.appended)
        put("statevec_durable_lag_bytes", log.unkept_bytes)
        put("statevec_durable_lag_entries", log.unkept_entries)
        put("statevec_released_lag_bytes", log.unreleased_bytes)
    for name, value in counters.items():
        if name in RESULTS:
            put("statevec_transactions_total", value, name)
        elif not name.startswith("ring."):
            put("statevec_engine_counter", value, name)
    for outcome, value in observed.outcomes.items():
        put("statevec_observed_entries_total", value, outcome_name(outcome))
    put("statevec_unobserved_entries_total", observed.unseen)
    for name, ring in sample.rings.items():
        put("statevec_ring_fill_ratio", ring.fill, name)
        put("statevec_ring_messages_total", ring.appended, name)
        put("statevec_ring_duplicates_total", ring.duplicates, name)
        put("statevec_ring_producer", ring.producer != 0, name)
        put("statevec_ring_quarantined", ring.state == "quarantined", name)
    for name, gateway in sample.gateways.items():
        put("statevec_gateway_lag_bytes", gateway.behind_bytes, name)
        put("statevec_gateway_lag_entries", gateway.behind_entries, name)
        put("statevec_gateway_attached", gateway.pid != 0, name)
    put("statevec_standbys", len(sample.standbys))
    for standby in sample.standbys:
        put("statevec_standby_lag_bytes", standby.behind_bytes, str(standby.pid))
    for shadow in sample.shadows.values():
        put("statevec_shadow_compared_total", shadow.compared, shadow.candidate)
        put("statevec_shadow_unexpected_total", shadow.unexpected, shadow.candidate)
    put("statevec_snapshot_sequence", max(sample.snapshots, default=0))
    put("statevec_disk_free_bytes", sample.disk.free)
    put("statevec_shared_memory_free_bytes", sample.disk.shared_memory_free)
    return found


_HIGHEST_SECONDS = np.array([bucket_bounds(bucket)[1] / 1e9 for bucket in range(BUCKET_COUNT)])


def buckets_of(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts for Prometheus: of values that are certainly within each bound."""
    reached = np.concatenate([[0], np.cumsum(histogram.counts)])
    places = np.searchsorted(_HIGHEST_SECONDS, BUCKET_SECONDS, side="right")
    found = [(f"{bound:g}", float(reached[place])) for bound, place in zip(BUCKET_SECONDS, places, strict=True)]
    return [*found, ("+Inf", float(reached[-1]))]


class MetricsExporter(Collector):
    """Looks at one instance; `text()` is what a scrape gets, `serve` answers scrapes."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._looker = Looker(instance)
        self._sample: Sample | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: Any = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def look(self) -> None:
        """Look once."""
        try:
            self._sample = self._looker.look()
        except OSError:
            self._sample = None

    def collect(self) -> Iterator[Metric]:
        """The families of the last look."""
        sample = self._sample
        values: Values = {"statevec_up": [((), 0.0)]} if sample is None else values_of(sample)
        own = self._instance.genesis.instance_id
        for name, kind in METRICS.items():
            labels = (INSTANCE_LABEL, *kind.labels)
            if kind.kind == HISTOGRAM:
                if sample is not None:
                    latency = sample.observed.latency
                    family = HistogramMetricFamily(name, kind.meaning, labels=labels)
                    family.add_metric([own], buckets_of(latency), latency.sum / 1e9)
                    yield family
                continue
            made = CounterMetricFamily if kind.kind == COUNTER else GaugeMetricFamily
            metric = made(name.removesuffix("_total"), kind.meaning, labels=labels)
            for found, value in values.get(name, []):
                metric.add_metric([own, *found], value)
            yield metric

    def text(self) -> str:
        """The exposition text of the last look."""
        return generate_latest(self._registry).decode()

    def serve(self, address: str, port: int) -> int:
        """Look on in a thread and answer scrapes until `close`; the port, which the system chooses for 0."""
        self._server, _ = start_http_server(port, address, self._registry)
        self._thread = threading.Thread(target=self._look_on, name="looker", daemon=True)
        self._thread.start()
        return int(self._server.server_port)

    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.look()

    def close(self) -> None:
        """Answer no more, and give the segments up."""
        self._stop.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join()
        self._looker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
