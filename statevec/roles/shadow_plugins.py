"""Finding the two versions that a shadow compares: the one that decides, from the log; the candidate, as it was named.

Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from pathlib import Path

from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.journal.admin_layout import BLOCK, LEADERSHIP_FORMAT
from statevec.journal.entry_layout import LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader, make_cursor


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


def find_candidate(instance: Instance, named: str) -> LoadedPlugin:
    """The version named by a directory, by `name@version` or by the first digits of its content hash.

    Raises `PluginError` and `StoreError`.
    """
    if Path(named).is_dir():
        return load_plugin(named)
    store = PluginStore(instance.directory)
    return store.load(store.find(named).content_hash)
