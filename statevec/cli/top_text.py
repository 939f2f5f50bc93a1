"""What `statevec top` shows, as lines of text: the same for the screen and for `--once`.

    sections(sample, rates, reasons, sort)  ─►  [(title, [line, …]), …]

Invariant: a line is one row of printable text; everything that came from files or shared memory went through `clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.text import Text

from statevec.cli.top_words import bar, clean, count, duration, size
from statevec.ipc.counters import PERCENTILES, Histogram
from statevec.roles.live_rates import Rates
from statevec.roles.live_reasons import Reasons
from statevec.roles.live_sample import LEADS, NONE, RingSeen, Sample

Section = tuple[str, list[Text]]
SORTS = ("name", "fill", "rate")
ALARMS = 6
OUTCOMES = 12
FULL = 0.9
GOOD, BAD, WARN, DIM, TITLE = "green", "bold red", "yellow", "dim", "bold"
LEVEL_STYLES = {"alarm": BAD, "warning": WARN}


def sections(sample: Sample, rates: Rates, reasons: Reasons, sort: str = "name") -> list[Section]:
    """Everything, from the most important on."""
    return [
        ("", [*_leader(sample), *_flow(sample, rates), *_positions(sample)]),
        ("rings", _rings(sample, rates, sort)),
        ("readers", [*_gateways(sample), *_standbys(sample), *_shadows(sample)]),
        ("outcomes, of the entries looked at", _outcomes(sample, rates, reasons)),
        ("alarms", _alarms(sample)),
    ]


def plain(found: Iterable[Section]) -> str:
    """The sections without colours."""
    lines = []
    for title, rows in found:
        if title:
            lines.append(title)
        lines += [row.plain.rstrip() for row in rows]
    return "\n".join(lines)


def _leader(sample: Sample) -> list[Text]:
    leader = sample.leader
    line = Text(f"{sample.state.upper():<7}", GOOD if sample.state == LEADS else BAD)
    if leader is None:
        line.append("nobody ever led this instance" if sample.state == NONE else "")
    else:
        line.append(
            f" pid {leader.pid} on {clean(leader.host, 30)}, epoch {leader.epoch}, {clean(leader.durability)}, "
        )
        line.append(clean(sample.decides, 60) or "no version", TITLE)
        line.append(" decides")
    lines = [line]
    if sample.state not in (LEADS, NONE) and sample.log is not None:
        lines.append(Text(f"no sign of life for {duration(sample.log.heartbeat_age_ns)}", BAD))
    if sample.halted or (sample.log is not None and sample.log.halted):
        lines.append(Text(f"HALTED  {clean(sample.halted or 'the journaler met a disk error')}", BAD))
    return lines + [Text(clean(problem, 160), WARN) for problem in sample.problems[:3]]


def _flow(sample: Sample, rates: Rates) -> list[Text]:
    line = Text(f"{count(rates.entries)} entries/s", TITLE)
    line.append(f"   {size(rates.bytes)}/s   sequence {count(sample.last_sequence)}")
    seen = rates.observed.entries
    if rates.observed.unseen:
        line.append(f"   ({seen / (seen + rates.observed.unseen):.0%} of them looked at)", DIM)
    return [line, _latency("now", rates.observed.latency), _latency("all", sample.observed.latency)]


def _latency(when: str, histogram: Histogram) -> Text:
    line = Text(f"latency {when}  ")
    if histogram.count == 0:
        return line.append("no input seen", DIM)
    figures = [f"{name} {duration(histogram.percentile(part)):<8} " for name, part in PERCENTILES.items()]
    return line.append("".join(figures)).append(f"max {duration(histogram.highest)}")


def _positions(sample: Sample) -> list[Text]:
    log = sample.log
    if log is None:
        return [Text("log         not in shared memory", DIM)]
    memory = sample.leader is not None and sample.leader.durability == "memory"
    kept = ("written", log.written) if memory else ("durable", log.durable)
    rows = [Text(f"appended    {count(log.appended):>20}")]
    behind = ((log.unkept_bytes, log.unkept_entries), (log.unreleased_bytes, log.unreleased_entries))
    for (name, position), (bytes_behind, entries) in zip((kept, ("released", log.released)), behind, strict=True):
        row = Text(f"{name:<11} {count(position):>20}   behind {size(bytes_behind)}")
        rows.append(row.append(f", {'-' if entries is None else count(entries)} entries"))
    return rows


def _rings(sample: Sample, rates: Rates, sort: str) -> list[Text]:
    by: dict[str, Callable[[tuple[str, RingSeen]], tuple[float, str]]] = {
        "name": lambda each: (0.0, each[0]),
        "fill": lambda each: (-each[1].fill, each[0]),
        "rate": lambda each: (-rates.messages.get(each[0], 0.0), each[0]),
    }
    rows = []
    for name, ring in sorted(sample.rings.items(), key=by[sort]):
        row = Text(f"  {clean(name, 20):<20} ")
        if ring.problem:
            rows.append(row.append(clean(ring.problem, 100), BAD))
            continue
        row.append(bar(ring.fill, 10), BAD if ring.fill > FULL else "")
        row.append(f" {ring.fill:>4.0%} {count(rates.messages.get(name, 0)):>9}/s ")
        row.append(f"pid {ring.producer:<8}" if ring.producer else f"{'nobody':<12}", "" if ring.producer else DIM)
        state = "" if ring.state in ("open", "unknown") else ring.state.upper()
        row.append(state, BAD)
        if ring.duplicates:
            row.append(f" {count(ring.duplicates)} duplicates", WARN)
        rows.append(row)
    return rows


def _gateways(sample: Sample) -> list[Text]:
    rows = []
    for name, gateway in sample.gateways.items():
        row = Text(f"  gateway {clean(name, 20):<20} ")
        if gateway.problem:
            rows.append(row.append(clean(gateway.problem, 100), BAD))
            continue
        row.append(f"pid {gateway.pid:<8}" if gateway.pid else f"{'nobody':<12}", "" if gateway.pid else WARN)
        entries = "-" if gateway.behind_entries is None else count(gateway.behind_entries)
        rows.append(row.append(f" behind {size(gateway.behind_bytes)}, {entries} entries"))
    return rows


def _standbys(sample: Sample) -> list[Text]:
    rows = []
    for standby in sample.standbys:
        row = Text(f"  standby {standby.pid:<20} {'follows' if standby.follows else 'is silent':<12}")
        entries = max(0, sample.last_sequence - standby.sequence)
        rows.append(row.append(f" behind {size(standby.behind_bytes)}, {count(entries)} entries"))
    return rows


def _shadows(sample: Sample) -> list[Text]:
    rows = []
    for shadow in sample.shadows.values():
        state = "ended" if shadow.finished else "caught up" if shadow.caught_up else "behind"
        row = Text(f"  shadow  {clean(shadow.candidate, 20):<20} {state:<12}")
        row.append(
            f" compared {count(shadow.compared)}, same {count(shadow.same)}, expected {count(shadow.expected)}, "
        )
        rows.append(row.append(f"unexpected {count(shadow.unexpected)}", BAD if shadow.unexpected else ""))
    return rows


def _outcomes(sample: Sample, rates: Rates, reasons: Reasons) -> list[Text]:
    observed = sample.observed
    rows = []
    now = max(1, sum(rates.observed.outcomes.values()))
    for outcome, number in sorted(observed.outcomes.items(), key=lambda each: -each[1])[:OUTCOMES]:
        row = Text(f"  {count(number):>14} {rates.observed.outcomes.get(outcome, 0) / now:>7.1%}  ")
        style = GOOD if outcome == 0 else WARN if outcome > 0 else BAD
        rows.append(row.append(clean(reasons.line(sample.content_hash, outcome), 100), style))
    if observed.other_outcomes:
        rows.append(Text(f"  {count(observed.other_outcomes):>14}          others"))
    return rows


def _alarms(sample: Sample) -> list[Text]:
    rows = []
    for event in reversed(sample.alarms[-ALARMS:]):
        level = str(event.get("level", ""))
        row = Text(f"  {clean(event['at'], 19)} ")
        row.append(f"{clean(level, 8):<8}", LEVEL_STYLES.get(level, "")).append(f"{clean(event['event'], 28):<20} ")
        hidden = ("at", "level", "event", "instance", "pid")
        rows.append(row.append(clean(" ".join(f"{k}={v}" for k, v in event.items() if k not in hidden), 160)))
    return rows
