"""Finding the two versions that a shadow compares: the one that decides, from the log; the candidate, as it was named.

Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from pathlib import Path

from statevec.engine.instance import PLUGINS_DIRECTORY, Instance
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.journal.admin_layout import BLOCK, LEADERSHIP_FORMAT
from statevec.journal.entry_layout import LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader, make_cursor

HASH_PREFIX_MINIMUM = 6


class ShadowError(Exception):
    """The shadow cannot compare these two versions, or no longer; the text says why."""


def decider_of(leadership: Entry) -> str:
    """Content hash (hex) of the version that a leadership entry names."""
    *_, content_hash = LEADERSHIP_FORMAT.unpack_from(leadership.input, BLOCK)
    return bytes(content_hash).rstrip(b"\0").decode()


def first_decider(instance: Instance) -> str:
    """Content hash of the version that decided first."""
    reader = JournalReader(instance.journal_directory, instance.genesis.unit)
    first = reader.next(make_cursor(0, reader.unit)) if reader.segments else None
    if first is not None and first.kind == LEADERSHIP:
        return decider_of(first)
    leader = instance.leader()
    if leader is None or not leader.content_hash:
        raise ShadowError(f"nothing was decided yet: no engine led the instance {instance.directory}")
    return leader.content_hash


def stored_version(instance: Instance, content_hash: str) -> LoadedPlugin:
    """A version that decided, from the instance's store."""
    directory = instance.plugin_directory(content_hash)
    if not directory.is_dir():
        raise ShadowError(f"the deciding version is not in the store: content_hash={content_hash}")
    loaded = load_plugin(directory)
    if loaded.content_hash != content_hash:
        raise ShadowError(f"the deciding version was changed in the store: found={loaded.content_hash} in {directory}")
    return loaded


def find_candidate(instance: Instance, named: str) -> LoadedPlugin:
    """The version named by a directory, by `name@version` or by the first digits of its content hash."""
    if Path(named).is_dir():
        return load_plugin(named)
    stored = sorted(each for each in (instance.directory / PLUGINS_DIRECTORY).iterdir() if each.name[0] != ".")
    if len(named) >= HASH_PREFIX_MINIMUM and "@" not in named:
        found = [load_plugin(each) for each in stored if each.name.startswith(named)]
    else:
        found = [each for each in map(load_plugin, stored) if f"{each.name}@{each.version}" == named]
    if len(found) != 1:
        known = ", ".join(each.name for each in stored) or "nothing"
        problem = "is ambiguous" if found else "is neither a directory nor in the store"
        raise ShadowError(f"candidate {named!r} {problem}; the store has {known}")
    return found[0]
