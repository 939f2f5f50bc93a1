"""Every metric that `statevec metrics` exports: name, kind, labels, meaning. `docs/live.md` shows the same table.

Names are stable: one that is here keeps its name, kind and labels. Units are seconds, bytes and entries, as Prometheus
has it; a counter's name ends in `_total` where it is exported.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True)
class MetricKind:
    """One metric. `labels` are beside `instance_id`, which each has."""

    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, MetricKind] = {
    "statevec_up": MetricKind(GAUGE, "1 when the last look at the instance succeeded."),
    "statevec_is_leader": MetricKind(GAUGE, "1 when somebody leads and gives signs of life."),
    "statevec_epoch": MetricKind(GAUGE, "Number of the leadership."),
    "statevec_heartbeat_age_seconds": MetricKind(GAUGE, "Time since the leader's last sign of life."),
    "statevec_halted": MetricKind(GAUGE, "1 after a disk error, until the halt mark is cleared."),
    "statevec_version_info": MetricKind(GAUGE, "Always 1: which version decides.", ("version", "content_hash")),
    "statevec_entries_total": MetricKind(COUNTER, "Entries in the log since genesis."),
    "statevec_log_bytes_total": MetricKind(COUNTER, "Bytes appended to the log since genesis."),
    "statevec_transactions_total": MetricKind(
        COUNTER, "Transactions by result: committed, rejected, faulted; exact.", ("result",)
    ),
    "statevec_observed_entries_total": MetricKind(
        COUNTER, "Inputs and timers that the exporter looked at, by outcome.", ("outcome",)
    ),
    "statevec_unobserved_entries_total": MetricKind(COUNTER, "Entries that came too fast for the exporter to look at."),
    "statevec_latency_seconds": MetricKind(
        HISTOGRAM, "From sent, as the producer stamped it, to sequenced; of the entries looked at."
    ),
    "statevec_durable_lag_bytes": MetricKind(GAUGE, "Appended and not durable (in memory mode: not written)."),
    "statevec_durable_lag_entries": MetricKind(GAUGE, "The same in entries."),
    "statevec_released_lag_bytes": MetricKind(GAUGE, "Appended and not released."),
    "statevec_ring_fill_ratio": MetricKind(GAUGE, "Part of the ring that is used, 0 to 1.", ("ring",)),
    "statevec_ring_messages_total": MetricKind(COUNTER, "The producer's sequence that the log has.", ("ring",)),
    "statevec_ring_duplicates_total": MetricKind(COUNTER, "Duplicates dropped since this leader leads.", ("ring",)),
    "statevec_ring_producer": MetricKind(GAUGE, "1 when a producer has the ring.", ("ring",)),
    "statevec_ring_quarantined": MetricKind(GAUGE, "1 when the ring is not read any more.", ("ring",)),
    "statevec_gateway_lag_bytes": MetricKind(GAUGE, "Released and not acknowledged.", ("gateway",)),
    "statevec_gateway_lag_entries": MetricKind(GAUGE, "The same in entries.", ("gateway",)),
    "statevec_gateway_attached": MetricKind(GAUGE, "1 when a process is this gateway.", ("gateway",)),
    "statevec_standbys": MetricKind(GAUGE, "Standbys that live."),
    "statevec_standby_lag_bytes": MetricKind(GAUGE, "How far the leader is ahead of a standby.", ("standby",)),
    "statevec_shadow_compared_total": MetricKind(COUNTER, "Entries that a shadow compared.", ("candidate",)),
    "statevec_shadow_unexpected_total": MetricKind(
        COUNTER, "Entries that no rule explains the difference of.", ("candidate",)
    ),
    "statevec_engine_counter": MetricKind(
        GAUGE, "The engine's other counters, as `statevec status` shows them.", ("counter",)
    ),
    "statevec_snapshot_sequence": MetricKind(GAUGE, "Sequence of the newest snapshot, 0 without one."),
    "statevec_disk_free_bytes": MetricKind(GAUGE, "Free space for the instance's files."),
    "statevec_shared_memory_free_bytes": MetricKind(GAUGE, "Free space in /dev/shm."),
}

BUCKET_SECONDS = tuple(factor * 10.0**power for power in range(-7, 2) for factor in (1.0, 2.5, 5.0))
"""Upper bounds of the latency histogram's buckets, 100 ns to 50 s."""


def metrics_table() -> str:
    """The catalogue as it stands in `docs/live.md`."""
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(rows)
