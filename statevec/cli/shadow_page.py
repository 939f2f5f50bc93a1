"""A shadow report as one self-contained HTML page, for the person who signs the candidate off.

Everything that came out of messages, plugins and rules is escaped; the page loads nothing and runs nothing.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from statevec.cli.shadow_plots import COLOURS, timeline_plot, times_plot, verdict_bar
from statevec.journal.plain_text import line_text
from statevec.roles.shadow_report import Example, ShadowReport
from statevec.roles.shadow_rules import Rule

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2630;background:#fff;max-width:900px;margin:32px auto;padding:0 20px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 8px}p{margin:6px 0}.quiet{color:#5b6875}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:4px 10px 4px 0;vertical-align:top;
border-bottom:1px solid #e3e7eb}th{font-weight:600;color:#5b6875;font-size:13px}td.number,th.number{text-align:right;
font-variant-numeric:tabular-nums}.verdict{padding:12px 16px;border-left:6px solid;margin:18px 0;background:#f6f8f9}
svg{width:100%;height:auto}svg.bar{height:26px}svg text{font-size:12px;fill:#5b6875}.axis{stroke:#5b6875}
.grid{stroke:#e3e7eb}code,.value{font-family:ui-monospace,monospace;font-size:13px;overflow-wrap:anywhere}
.key{display:inline-block;width:11px;height:11px;margin:0 5px 0 14px;vertical-align:-1px}
.sign td{height:44px;width:33%;vertical-align:bottom;color:#5b6875}@media print{h2{break-after:avoid}}
"""


def render_page(found: ShadowReport, rules: Sequence[Rule] = ()) -> str:
    """The page's HTML."""
    title = f"{found.candidate_name} {found.candidate_version} in the shadow of {found.decider_version}"
    body = [
        f"<h1>{escape(line_text(title))}</h1>",
        f'<p class="quiet">{escape(f"{found.mode}, instance {found.instance}, {_time(found.updated_ns)}")}</p>',
        _verdict(found),
        _counts(found),
        _section("Differences along the log", timeline_plot(found.timeline) if found.timeline else ""),
        _section("Expected differences", _rules(found, rules)),
        _section("Unexpected differences, by place", _places(found)),
        *(_example(heading, each) for heading, each in _examples(found)),
        _section("Time per transaction", _times(found)),
        _section("What was compared", _facts(found)),
        _section("Sign-off", '<table class="sign"><tr><td>name</td><td>date</td><td>signature</td></tr></table>'),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(line_text(title))}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _section(heading: str, content: str) -> str:
    return f"<h2>{escape(heading)}</h2>{content}" if content else ""


def _time(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _verdict(found: ShadowReport) -> str:
    if found.compared == 0:
        colour, text = COLOURS["expected"], "Nothing was compared yet."
    elif found.unexpected:
        colour = COLOURS["unexpected"]
        text = f"{found.unexpected:,} of {found.compared:,} entries differ in a way that no rule explains."
    elif found.expected:
        colour = COLOURS["expected"]
        text = f"All {found.expected:,} entries that differ, of {found.compared:,}, are explained by the rules."
    else:
        colour, text = COLOURS["same"], f"All {found.compared:,} entries came out the same."
    notes = [f"The shadow {found.reach}.", _slowdown(found)]
    notes.append("The state can be taken back." if found.rollback_possible else "The state can not be taken back.")
    return f'<div class="verdict" style="border-color:{colour}"><b>{text}</b><br>{" ".join(notes)}</div>'


def _slowdown(found: ShadowReport) -> str:
    factor = found.slowdown
    return "" if factor is None else f"A transaction takes {factor:.2f} times as long as now (median)."


def _legend(names: Iterable[tuple[str, str]]) -> str:
    keys = "".join(
        f'<span class="key" style="background:{COLOURS[name]}"></span>{escape(text)}' for name, text in names
    )
    return f'<p class="quiet">{keys}</p>'


def _counts(found: ShadowReport) -> str:
    counts = {"same": found.same, "expected": found.expected, "unexpected": found.unexpected}
    return verdict_bar(counts) + _legend((name, f"{count:,} {name}") for name, count in counts.items())


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: frozenset[int] = frozenset()) -> str:
    """Cells are escaped; those in columns `numbers` stand on the right."""

    def cells(tag: str, row: Sequence[Any]) -> str:
        made = []
        for place, each in enumerate(row):
            kind = ' class="number"' if place in numbers else ' class="value"' if tag == "td" else ""
            made.append(f"<{tag}{kind}>{escape(line_text(str(each)))}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    return f"<table>{cells('th', columns)}{''.join(cells('td', row) for row in rows)}</table>"


def _rules(found: ShadowReport, rules: Sequence[Rule]) -> str:
    reasons = {rule.name: rule.because for rule in rules}
    rows = [(name, reasons.get(name, ""), f"{count:,}") for name, count in found.rules.items()]
    return _table(("rule", "because", "entries"), rows, frozenset((2,))) if rows else ""


def _places(found: ShadowReport) -> str:
    rows = [(name, f"{count:,}") for name, count in found.unexpected_places.items()]
    return _table(("place", "differences"), rows, frozenset((1,))) if rows else ""


def _examples(found: ShadowReport) -> Iterable[tuple[str, Example]]:
    worst = found.worst_unexpected
    if worst is not None:
        yield "Worst unexpected difference", worst
    for number, each in enumerate(found.first_unexpected):
        yield ("First unexpected difference" if number == 0 else "A later one"), each
    for name, each in found.expected_examples.items():
        yield f"First difference that rule “{name}” explains", each


def _example(heading: str, example: Example) -> str:
    message = example.input or {}
    name = message.get("message") or ("malformed input" if message else "no input")
    fields = message.get("fields") or {}
    rows = [(each.path, _value(each.decided), _value(each.candidate), each.rule or "") for each in example.differences]
    return _section(
        heading,
        f"<p>Sequence {example.sequence:,} at {_time(example.timestamp_ns)}: {escape(example.kind)}, "
        f'<span class="value">{escape(line_text(f"{name} {_value(fields)}"))}</span></p>'
        + _table(("where", "decided", "candidate", "rule"), rows),
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def _times(found: ShadowReport) -> str:
    if not found.times:
        return ""
    names = ("count", "mean", "p50", "p90", "p99", "p999", "max")
    rows = [(version, *(f"{getattr(times, name):,}" for name in names)) for version, times in found.times.items()]
    versions = {"decider": f"decides: {found.decider_version}", "candidate": f"candidate: {found.candidate_version}"}
    return (
        times_plot(found.times)
        + _legend((name, versions[name]) for name in found.times)
        + _table(("version, ns", *names), rows, frozenset(range(1, 8)))
    )


def _facts(found: ShadowReport) -> str:
    rows = (
        ("candidate", f"{found.candidate_name}@{found.candidate_version} {found.candidate_hash}"),
        ("decides", f"{found.decider_name}@{found.decider_version} {found.decider_hash}"),
        ("sequences", f"{found.from_sequence:,} to {found.to_sequence:,}"),
        ("mode", found.mode),
        ("migration", f"{found.migration} {found.migration_problem}".strip() or "none"),
        *(("", change) for change in found.migration_changes),
        ("rollback", "possible" if found.rollback_possible else found.rollback_problem or "not possible"),
        ("took", f"{found.seconds:,.1f} s"),
    )
    return _table(("", ""), rows)
