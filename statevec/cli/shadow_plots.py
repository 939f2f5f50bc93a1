"""Plots of a shadow report as inline SVG: no library, no script, nothing that a page would have to load.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from statevec.roles.shadow_report import Timeline, Times

WIDTH, HEIGHT = 860, 230
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 40
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
COLOURS = {
    "same": "#8a97a6",
    "expected": "#d39b00",
    "unexpected": "#c0322b",
    "decider": "#2f6db3",
    "candidate": "#d4691e",
}


def verdict_bar(counts: dict[str, int]) -> str:
    """One bar for all entries: how many were the same, expected, unexpected; what there is is at least visible."""
    total = sum(counts.values()) or 1
    least = 3.0
    parts, x = [], 0.0
    for name, count in counts.items():
        if count:
            width = max(least, WIDTH * count / total)
            parts.append(
                f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="26" fill="{COLOURS[name]}">'
                f"<title>{name}: {count:,}</title></rect>"
            )
            x += width
    return f'<svg viewBox="0 0 {max(x, WIDTH):.0f} 26" preserveAspectRatio="none" class="bar">{"".join(parts)}</svg>'


def timeline_plot(timeline: Timeline) -> str:
    """Entries that differ along the log, stacked: unexpected below, where the eye starts."""
    pairs = list(zip(timeline.unexpected, timeline.expected, strict=True))
    highest = max((sum(pair) for pair in pairs), default=0)
    if highest == 0:
        return ""
    step = INNER_WIDTH / len(pairs)
    parts = []
    for number, pair in enumerate(pairs):
        bottom = float(TOP + INNER_HEIGHT)
        first = timeline.first + number * timeline.width
        for name, count in zip(("unexpected", "expected"), pair, strict=True):
            if count:
                height = max(1.0, INNER_HEIGHT * count / highest)
                bottom -= height
                parts.append(
                    f'<rect x="{LEFT + number * step:.1f}" y="{bottom:.1f}" width="{max(1.0, step - 1):.1f}" '
                    f'height="{height:.1f}" fill="{COLOURS[name]}"><title>sequence {first:,} to '
                    f"{first + timeline.width - 1:,}: {count:,} {name}</title></rect>"
                )
    last = timeline.first + len(pairs) * timeline.width - 1
    across = [(float(LEFT), f"{timeline.first:,}", "start"), (float(WIDTH - RIGHT), f"{last:,}", "end")]
    return _frame(parts, across, [(TOP, f"{highest:,}"), (TOP + INNER_HEIGHT, "0")], "sequence")


def times_plot(times: dict[str, Times]) -> str:
    """Which part of the transactions took at most how long, on a logarithmic axis, one line for each version."""
    spans = [value for each in times.values() for value, _ in each.curve if value > 0]
    if not spans:
        return ""
    low = math.floor(math.log10(min(spans)))
    high = max(low + 1, math.ceil(math.log10(max(spans))))

    def x(value: float) -> float:
        return LEFT + INNER_WIDTH * (math.log10(max(value, 10.0**low)) - low) / (high - low)

    parts = []
    for name, each in times.items():
        points = [(x(each.curve[0][0]), float(TOP + INNER_HEIGHT))] if each.curve else []
        points += [(x(value), TOP + INNER_HEIGHT * (1 - part)) for value, part in each.curve]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
    marks = [(x(10.0**power), _duration(power), "middle") for power in range(low, high + 1)]
    parts += [
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + INNER_HEIGHT}" class="grid"/>' for at, *_ in marks
    ]
    return _frame(parts, marks, [(TOP, "100 %"), (TOP + INNER_HEIGHT / 2, "50 %"), (TOP + INNER_HEIGHT, "0")], "")


def _duration(power: int) -> str:
    for unit, size in (("s", 9), ("ms", 6), ("µs", 3), ("ns", 0)):
        if power >= size:
            return f"{10 ** (power - size)} {unit}"
    return f"{10.0**power} ns"


def _frame(
    parts: Iterable[str], across: list[tuple[float, str, str]], down: Sequence[tuple[float, str]], label: str
) -> str:
    base = TOP + INNER_HEIGHT
    texts = [
        f'<text x="{at:.1f}" y="{base + 18}" text-anchor="{anchor}">{escape(text)}</text>'
        for at, text, anchor in across
    ]
    texts += [f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>' for at, text in down]
    texts.append(f'<text x="{LEFT + INNER_WIDTH / 2}" y="{base + 34}" text-anchor="middle">{escape(label)}</text>')
    axis = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" class="axis"/>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}{axis}{"".join(texts)}</svg>'
