"""Numbers as `statevec top` shows them: short, with units, and clean of what could move a terminal's cursor."""

from __future__ import annotations

KIB = 1024


def count(number: float) -> str:
    """A whole number with commas."""
    return f"{number:,.0f}"


def size(number: float | None) -> str:
    """Bytes; `-` for None."""
    if number is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < KIB or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= KIB
    raise AssertionError("the last unit takes all")


def duration(ns: float) -> str:
    """A time given in ns."""
    for limit, divisor, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if ns < limit:
            return f"{ns:.0f} {unit}" if divisor == 1 else f"{ns / divisor:.1f} {unit}"
    seconds = ns / 1e9
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def clean(text: object, most: int = 200) -> str:
    """One line of printable text, `most` characters at most: what files and other processes wrote is not believed."""
    return "".join(each if each.isprintable() else " " for each in str(text)[: 4 * most])[:most]


def bar(part: float, width: int) -> str:
    """A bar that is filled to `part` (0 to 1)."""
    filled = round(min(max(part, 0.0), 1.0) * width)
    return "█" * filled + "·" * (width - filled)
