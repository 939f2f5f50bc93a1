"""An explanation as text that somebody who does not know the code can read.

Nothing here keeps state.
"""

from __future__ import annotations

from typing import Any

from statevec.audit.explain_kinds import duration_text, time_text
from statevec.audit.explain_parts import ChangedRecord, EmittedOutput, Explanation, ReadRecord, TableLookup
from statevec.cli.explain_format import Page, pairs, value_text

HOW = {"key": "[]", "in": "in", "get": "get"}
LINE_COLUMNS = 6


def print_explanation(found: Explanation, page: Page) -> None:
    """Print all of it; what did not happen has no section."""
    _head(found, page)
    if not found.reproduced:
        _differences(found, page)
        return
    if found.refusal is not None:
        _refusal(found, page)
    if found.changes:
        page.heading("Changed")
        for change in found.changes:
            print_change(change, page)
    if found.outputs:
        page.heading("Sent out")
        for output in found.outputs:
            print_output(output, page)
    if found.reads:
        page.heading("Records it read, as they were then")
        for read in found.reads:
            _read(read, page)
    if found.lookups:
        page.heading("Lookups")
        for lookup in found.lookups:
            page.line(f"{lookup.line:>{LINE_COLUMNS}}  {lookup_text(lookup)}", hang=LINE_COLUMNS + 4)
    if found.left_out:
        page.line(f"  … and {found.left_out:,} more reads and lookups")
    if found.lines:
        page.heading(f"Lines it ran, of {found.file}")
        for call in found.lines:
            print_call(call, page, 0)
    if found.invariants:
        page.heading("Invariants checked")
        for each in found.invariants:
            verdict = "held" if each.held else "did NOT hold"
            page.line(f"  {each.name}({each.subject}): {verdict}", "" if each.held else "red")


def _head(found: Explanation, page: Page) -> None:
    what = found.arrived.message or found.kind
    style = "green" if found.outcome_code == 0 else "red"
    page.line(f"Entry {found.sequence}: {what}, {found.outcome}", f"bold {style}")
    page.line(f"  sequenced   {time_text(found.timestamp_ns)}, epoch {found.epoch}")
    _arrival(found, page)
    for text in found.told:
        page.line(f"  {text}")
    decided = found.decided
    since = {
        "cutover": f"since the cutover at entry {decided.since_sequence}",
        "leadership": f"since entry {decided.since_sequence}, the first leadership",
        "journal": f"since entry {decided.since_sequence} or before: there the journal begins",
    }[decided.since_kind]
    page.line(f"  decided by  {decided.name} {decided.version} ({decided.content_hash[:12]}), {since}")
    if found.reproduced:
        page.line(f"  proof       executed again, it came out the same: digest {found.digest}")


def _arrival(found: Explanation, page: Page) -> None:
    arrived = found.arrived
    if arrived.source:
        name = arrived.producer or "a ring whose name is not known"
        page.line(f"  from        {name} (source {arrived.source}), its number {arrived.source_sequence}")
        if arrived.sent_ns:
            latency = "" if arrived.latency_ns is None else f", {duration_text(arrived.latency_ns)} before sequenced"
            page.line(f"  sent        {value_text('sent_ns', arrived.sent_ns)}{latency}")
    if arrived.message:
        page.line(f"  message     {arrived.message}")
        page.parts(pairs(arrived.fields), 14)
    elif arrived.bytes:
        page.line(f"  message     none: {arrived.reason}")
        page.line(f"              bytes {arrived.bytes[:128]}{'…' if len(arrived.bytes) > 128 else ''}")


def _differences(found: Explanation, page: Page) -> None:
    page.heading("It does NOT come out as it was recorded, so it cannot be explained. What differs:")
    for each in found.differences:
        page.line(f"  {each.path}: recorded {each.recorded}, executed again {each.executed}", "red")
    page.line("  See `statevec verify`: journal, plugin store or this installation is not what it was.")


def _refusal(found: Explanation, page: Page) -> None:
    refusal = found.refusal
    assert refusal is not None
    page.heading({"rejection": "Rejected", "fault": "Failed", "invariant": "Invariant violated"}[refusal.kind])
    page.line(f"  {refusal.name}: {refusal.text}", "red")
    if refusal.line:
        page.line(f"{refusal.line:>{LINE_COLUMNS}}  {refusal.source}")
    page.line("  Nothing was changed, nothing was sent out.")


def print_change(change: ChangedRecord, page: Page) -> None:
    """One record: its versions, and its fields before and after."""
    versions = {
        "inserted": f"version {change.version_after}",
        "deleted": f"was version {change.version_before}",
        "updated": f"version {change.version_before} -> {change.version_after}",
    }[change.operation]
    before = f", changed before by entry {change.previous_sequence}" if change.previous_sequence else ""
    page.line(f"  {change.table}[{change.key}] {change.operation}, {versions}{before}")
    if change.operation == "updated":
        for name, (old, new) in change.fields.items():
            page.line(f"      {name}: {value_text(name, old)} -> {value_text(name, new)}")
    else:
        place = 0 if change.operation == "deleted" else 1
        page.parts(pairs({name: values[place] for name, values in change.fields.items()}), 6)


def print_output(output: EmittedOutput, page: Page) -> None:
    """One output with its identity."""
    expiry = f", expires {value_text('_ns', output.expires_ns)}" if output.expires_ns else ""
    page.line(f"  {output.identity} {output.message}{expiry}")
    page.parts(pairs(output.fields), 6)


def _read(read: ReadRecord, page: Page) -> None:
    changed = f"last changed by entry {read.last_changed}" if read.last_changed else "inserted by this entry"
    again = "; with this entry's changes so far" if read.changed else ""
    who = f", by invariant {read.by}" if read.by else ""
    times = f", {read.times} times" if read.times > 1 else ""
    what = f"{read.table}[{read.key}] version {read.version}, {changed}{again}{who}{times}"
    page.line(f"{read.line:>{LINE_COLUMNS}}  {what}", hang=LINE_COLUMNS + 4)
    page.parts(pairs(read.fields), LINE_COLUMNS + 4)


def lookup_text(lookup: TableLookup) -> str:
    """What was asked of a table, and the answer."""
    table, value = lookup.table, lookup.value
    if lookup.how == "len":
        return f"number of {table}: {lookup.count}"
    if lookup.how in HOW:
        answer = f"{table}[{value}]: {'there' if lookup.found else 'not there'}"
    else:
        keys = ", ".join(str(key) for key in lookup.found[:10]) + (", …" if lookup.count > 10 else "")
        found = f"{lookup.count}: {keys}" if lookup.count else "none"
        asked = {"all": "all", "unique": f"the one with {lookup.index}={value}"}.get(
            lookup.how, f"{'those' if lookup.how == 'where' else lookup.how} with {lookup.index}={value}"
        )
        answer = f"{table}, {asked}: {found}"
    who = f" (invariant {lookup.by})" if lookup.by else ""
    return answer + who + (f", asked {lookup.times} times" if lookup.times > 1 else "")


def print_call(call: dict[str, Any], page: Page, depth: int) -> None:
    """A function, the lines it ran, and what it returned; helpers are indented."""
    arguments = ", ".join(pairs(call["arguments"]))
    text = f"{call['line']:>{LINE_COLUMNS}}  {'  ' * depth}{call['function']}({arguments})"
    page.line(text, "bold", LINE_COLUMNS + 6 + 2 * depth)
    _items(call["items"], page, depth + 1)
    if call["raised"]:
        page.line(f"{'':>{LINE_COLUMNS}}  {'  ' * depth}= {call['raised']} raised", "red")
    elif depth:
        page.line(f"{'':>{LINE_COLUMNS}}  {'  ' * depth}= {value_text('', call['returned'])}", "dim")


def _items(items: list[dict[str, Any]], page: Page, depth: int) -> None:
    for item in items:
        if "turns" in item:
            _loop(item, page, depth)
            continue
        seen = pairs(item["variables"])
        seen += [f"{target} = {value_text(target, value)}" for target, value in item["assigned"]]
        seen += [item["raised"]] if item["raised"] else []
        notes = [f"> {each}" for each in seen]
        hang = LINE_COLUMNS + 6 + 2 * depth
        text = f"{item['line']:>{LINE_COLUMNS}}  {'  ' * depth}{item['text']}"
        whole = "  ".join([text, *notes])
        if notes and not item["calls"] and len(whole) <= page.width:
            page.line(whole, hang=hang)
            continue
        page.line(text, hang=hang)
        for call in item["calls"]:
            print_call(call, page, depth + 1)
        page.parts(notes, hang, "cyan")


def _loop(loop: dict[str, Any], page: Page, depth: int) -> None:
    count, shown = loop["turns"], loop["shown"]
    turns = {0: "no turn", 1: "1 turn"}.get(count, f"{count} turns")
    margin = f"{'':>{LINE_COLUMNS}}  {'  ' * depth}"
    if not shown:
        page.line(f"{loop['line']:>{LINE_COLUMNS}}  {'  ' * depth}{loop['text']}  ({turns})")
        return
    page.line(f"{margin}-- {turns}:", "dim")
    for number, turn in enumerate(shown):
        if number == len(shown) - 1 and count > len(shown):
            page.line(f"{margin}-- {count - len(shown)} more turns, then the last one:", "dim")
        _items(turn, page, depth)
