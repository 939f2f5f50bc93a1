"""`statevec state` and `statevec diff`: the records as they were after an entry, and what changed between two entries.

Both only read, without a lock: a live instance goes on undisturbed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo_json
from statevec.cli.explain import COLD, FORMAT, INSTANCE
from statevec.cli.explain_format import Page, console, pairs, progress_line, value_text
from statevec.cli.parameters import STATE_SEQUENCE

if TYPE_CHECKING:
    from statevec.audit.state_diff import RecordDiff, StateDiff

ENGINE = click.option("--engine", is_flag=True, help="The engine's own tables too.")
LIMIT = click.option(
    "--limit", type=click.IntRange(0), default=200, show_default=True, help="Records to show of a table; 0 all."
)


def _print_json(found: Any) -> None:

    echo_json(found)


@click.command(context_settings={"ignore_unknown_options": True})  # a key may be negative
@click.argument("table", required=False)
@click.argument("key", required=False)
@click.option("--at", "sequence", type=STATE_SEQUENCE, help="After this entry; without it after the last one.")
@INSTANCE
@COLD
@ENGINE
@LIMIT
@FORMAT
def state(
    table: str | None,
    key: str | None,
    sequence: int | None,
    directory: Path,
    cold: Path | None,
    engine: bool,
    limit: int,
    form: str,
) -> None:
    """Show the tables, the records of one TABLE, or the one with a KEY, as they were after an entry."""
    from statevec.audit.state_at import StateWalker
    from statevec.audit.state_at_view import RecordsView, view_record, view_records, view_tables
    from statevec.engine.instance import open_instance

    with progress_line() as progress:
        walker = StateWalker(open_instance(directory), cold, progress)
        following = walker.to(walker.log.newest_sequence if sequence is None else sequence)
    if table is None:
        counts = view_tables(following, engine)
        if form == "json":
            _print_json(counts.to_dict())
            return
        page = Page(console())
        page.line(f"After entry {counts.sequence}, {counts.version} decides next", "bold")
        for each in counts.tables:
            page.line(f"  {each.table:<24} {each.records:>9,} of {each.capacity:,} records")
        return
    found: RecordsView = view_records(following, table) if key is None else view_record(following, table, key)
    if form == "json":
        _print_json(found.to_dict())
        return
    page = Page(console())
    page.line(f"After entry {found.sequence}: {found.table}", "bold")
    shown = found.records[:limit] if limit else found.records
    for record in shown:
        page.line(
            f"  {found.table}[{record.key}] version {record.version}, last changed by entry {record.last_changed}"
        )
        page.parts(pairs(record.fields), 6)
    if len(shown) < len(found.records):
        page.line(f"  … {len(found.records) - len(shown):,} more (--limit 0 shows all)")
    elif not found.records:
        page.line("  no records")


@click.command()
@click.argument("first", type=STATE_SEQUENCE)
@click.argument("last", type=STATE_SEQUENCE)
@click.argument("table", required=False)
@INSTANCE
@COLD
@ENGINE
@LIMIT
@FORMAT
def diff(
    first: int, last: int, table: str | None, directory: Path, cold: Path | None, engine: bool, limit: int, form: str
) -> None:
    """Show what changed from the state after entry FIRST to the state after entry LAST, in all tables or one."""
    from statevec.audit.state_at import StateWalker
    from statevec.audit.state_diff import diff_states
    from statevec.engine.instance import open_instance

    with progress_line() as progress:
        walker = StateWalker(open_instance(directory), cold, progress)
        found = diff_states(walker, first, last, table, engine)
    if form == "json":
        _print_json(found.to_dict())
    else:
        _print_diff(found, limit)


def _print_diff(found: StateDiff, limit: int) -> None:
    page = Page(console())
    page.line(f"From after entry {found.first} to after entry {found.last}", "bold")
    if found.version_before != found.version_after:
        page.line(f"  {found.version_before} decided before, {found.version_after} afterwards")
    if not found.tables:
        page.line("  nothing changed")
    for each in found.tables:
        page.heading(f"{each.table}: {each.inserted} inserted, {each.deleted} deleted, {each.updated} updated")
        if each.is_new or each.is_gone:
            page.line(f"  the table is {'new' if each.is_new else 'gone'}")
        if each.new_fields:
            page.line(f"  new fields: {', '.join(each.new_fields)}")
        if each.gone_fields:
            page.line(f"  fields that are gone: {', '.join(each.gone_fields)}")
        shown = each.records[:limit] if limit else each.records
        for record in shown:
            _print_record(each.table, record, page)
        if len(shown) < len(each.records):
            page.line(f"  … {len(each.records) - len(shown):,} more (--limit 0 shows all)")


def _print_record(table: str, record: RecordDiff, page: Page) -> None:
    versions = " -> ".join(str(each) for each in (record.version_before, record.version_after) if each is not None)
    page.line(
        f"  {table}[{record.key}] {record.operation}, version {versions}, last changed by entry {record.last_changed}"
    )
    if record.operation in ("updated", "replaced"):
        for name, (old, new) in record.fields.items():
            page.line(f"      {name}: {value_text(name, old)} -> {value_text(name, new)}")
        if not record.fields:
            page.line("      changed, and changed back")
    else:
        place = 0 if record.operation == "deleted" else 1
        page.parts(pairs({name: values[place] for name, values in record.fields.items()}), 6)
