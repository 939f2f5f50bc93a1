"""`statevec plugin add | list | show | diff | check`: the logic versions of an instance, and what is in them.

`add` writes into the instance's plugin store and the cache of compiled code; the others only read, without a lock. What
is wrong with a plugin is one line with its file and line number.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo

if TYPE_CHECKING:
    from statevec.engine.deciders import Decided
    from statevec.engine.instance import Instance
    from statevec.engine.plugin.loader import LoadedPlugin
    from statevec.engine.store import StoredVersion

INSTANCE = click.option(
    "--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory."
)
FORMAT = click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
SHOWN_DIGITS = 12


@click.group()
def plugin() -> None:
    """Add logic versions to an instance, and look at them.

    A VERSION is NAME@VERSION, or the first 6 or more digits of its content hash.
    """


@plugin.command()
@click.argument("path", type=click.Path(path_type=Path))
@INSTANCE
@FORMAT
def add(path: Path, instance: str, style: str) -> None:
    """Check and compile the plugin in the directory PATH, and keep it: the engine then only links it.

    Nothing is decided by it before a cutover.
    """
    from statevec.engine.instance import open_instance
    from statevec.engine.store import PluginStore

    opened = open_instance(instance)
    store = PluginStore(opened.directory)
    started = time.monotonic()
    stored = store.add(path)
    loaded = store.load(stored.content_hash)
    decider = _present_decider(opened)
    facts = {**_facts(stored), "seconds": round(time.monotonic() - started, 3)}
    if decider not in (None, stored.content_hash):
        assert decider is not None
        facts["cutover"] = _prepare_cutover(store.load(decider), loaded)
    if style == "json":
        click.echo(json.dumps(facts))
        return
    echo(f"added {stored.spec} {stored.content_hash} in {facts['seconds']} s")
    for line in facts.get("cutover", []):
        echo(f"  {line}")


def _present_decider(instance: Instance) -> str | None:
    from statevec.engine.deciders import deciders

    decided = deciders(instance)
    return decided[-1].content_hash if decided else None


def _prepare_cutover(old: LoadedPlugin, new: LoadedPlugin) -> list[str]:
    """Compile the migrations to the new version and back; lines that say what they do."""
    from statevec.engine.plugin.compatibility import unreadable_messages
    from statevec.engine.plugin.migration import MigrationError, plan_migration

    lines = [f"cutover {old.version} -> {new.version}: {each}" for each in unreadable_messages(old, new)]
    for direction, before, after in (("cutover", old, new), ("rollback", new, old)):
        what = f"{direction} {before.version} -> {after.version}"
        try:
            plan = plan_migration(before, after)
        except MigrationError as error:
            lines.append(f"{what}: not possible: {error}")
            continue
        if not plan.needed:
            lines.append(f"{what}: records stay as they are")
            continue
        plan.function("compiled")
        lines += [f"{what}: migration {plan.identity[:SHOWN_DIGITS]}", *(f"  {each}" for each in plan.changes)]
    return lines


@plugin.command("list")
@INSTANCE
@FORMAT
def list_versions(instance: str, style: str) -> None:
    """List the versions in the store, and which entries each of them decided."""
    from statevec.engine.deciders import deciders
    from statevec.engine.instance import open_instance
    from statevec.engine.store import PluginStore

    opened = open_instance(instance)
    decided = deciders(opened)
    found = [
        {**_facts(each), "decided": [_decided(one) for one in decided if one.content_hash == each.content_hash]}
        for each in PluginStore(opened.directory).versions()
    ]
    if style == "json":
        click.echo(json.dumps(found))
        return
    echo(f"{'VERSION':<24}  {'HASH':<{SHOWN_DIGITS}}  {'ADDED':<25}  DECIDED")
    for facts in found:
        spans = [f"#{each['ordinal']} {each['first']}-{each['last']}" for each in facts["decided"]]
        name = f"{facts['name']}@{facts['version']}" if facts["name"] else facts["problem"]
        digits = facts["content_hash"][:SHOWN_DIGITS]
        echo(f"{name:<24}  {digits}  {facts['added']:<25}  {', '.join(spans) or 'nothing'}")


def _facts(stored: StoredVersion) -> dict[str, Any]:
    names = ("name", "version", "content_hash", "added", "problem")
    return {**{name: getattr(stored, name) for name in names}, "directory": str(stored.directory)}


def _decided(one: Decided) -> dict[str, int]:
    return {"ordinal": one.ordinal, "first": one.first, "last": one.last}


@plugin.command()
@click.argument("version")
@INSTANCE
@FORMAT
def show(version: str, instance: str, style: str) -> None:
    """Show what VERSION declares: records, messages, outputs, rejections, invariants, migrations."""
    from statevec.engine.plugin.describe import describe
    from statevec.engine.store import PluginStore

    store = PluginStore(Path(instance))
    stored = store.find(version)
    sections = describe(store.load(stored.content_hash))
    if style == "json":
        click.echo(json.dumps({**_facts(stored), **sections}))
        return
    for name in ("name", "version", "content_hash", "added", "directory"):
        echo(f"{name:<14} {_facts(stored)[name]}")
    for section, things in sections.items():
        echo("")
        echo(section if things else f"{section}: none")
        for thing, parts in things.items():
            echo(f"  {thing}")
            for part, text in parts.items():
                echo(f"    {part:<24} {text}")


@plugin.command()
@click.argument("old")
@click.argument("new")
@INSTANCE
@FORMAT
def diff(old: str, new: str, instance: str, style: str) -> None:
    """Show what changes from version OLD to NEW: the source, what it declares, and how records would migrate.

    Either may be a plugin's directory that was not added yet.
    """
    from statevec.engine.plugin.compatibility import unreadable_messages
    from statevec.engine.plugin.describe import describe_changes, source_difference
    from statevec.engine.plugin.source import plugin_files

    before, after = _load(instance, old), _load(instance, new)
    source = list(source_difference(plugin_files(before.source.directory), plugin_files(after.source.directory)))
    changes = describe_changes(before, after)
    unreadable = unreadable_messages(before, after)
    if unreadable:
        changes["messages in flight that cannot be read"] = unreadable
    migrations = {"cutover": _migration(before, after), "rollback": _migration(after, before)}
    if style == "json":
        click.echo(json.dumps({"source": source, "changes": changes, "migrations": migrations}))
        return
    for line in source:
        echo(line)
    for section, lines in changes.items():
        echo("")
        echo(section)
        for line in lines:
            echo(f"  {line}")
    for direction, facts in migrations.items():
        echo("")
        echo(f"{direction}: {facts['summary']}")
        for line in facts["changes"]:
            echo(f"  {line}")


def _load(instance: str, version: str) -> LoadedPlugin:
    from statevec.engine.plugin.loader import load_plugin
    from statevec.engine.store import PluginStore

    if Path(version).is_dir():
        return load_plugin(version)
    store = PluginStore(Path(instance))
    return store.load(store.find(version).content_hash)


def _migration(old: LoadedPlugin, new: LoadedPlugin) -> dict[str, Any]:
    from statevec.engine.plugin.migration import MigrationError, plan_migration

    try:
        plan = plan_migration(old, new)
    except MigrationError as error:
        return {"possible": False, "summary": f"not possible: {error}", "identity": "", "changes": []}
    summary = f"migration {plan.identity}" if plan.needed else "records stay as they are"
    return {"possible": True, "summary": summary, "identity": plan.identity, "changes": list(plan.changes)}


@plugin.command()
@click.argument("path", type=click.Path(path_type=Path))
@FORMAT
def check(path: Path, style: str) -> None:
    """Check and compile the plugin in the directory PATH without storing it."""
    from statevec.engine.plugin.loader import load_plugin

    started = time.monotonic()
    loaded = load_plugin(path)
    loaded.dispatch("compiled")
    facts = {
        "name": loaded.name,
        "version": loaded.version,
        "content_hash": loaded.content_hash,
        "seconds": round(time.monotonic() - started, 3),
    }
    if style == "json":
        click.echo(json.dumps(facts))
        return
    echo(f"{loaded.name}@{loaded.version} {loaded.content_hash} is sound; compiled in {facts['seconds']} s")
