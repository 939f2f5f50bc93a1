"""The plugins that decided, out of an instance's plugin store, and what they say about the bytes of entries.

Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine.instance import Instance
from statevec.engine.plugin.decoding import decoder_for as decoder_for
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.store import PluginStore
from statevec.journal.decode import own_schema
from statevec.journal.entry_layout import LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.journal.reader import JournalReader


def deciding_hash(leadership: Entry) -> str:
    """Content hash (hex) of the plugin that a leadership entry names."""
    return str(own_schema().decode(leadership.input).to_dict()["content_hash"])


def first_decider(reader: JournalReader) -> str | None:
    """Content hash of the plugin that decided first, None in an empty journal. The first entry is a leadership."""
    first = next(reader.entries(), None) if reader.segments else None
    if first is None:
        return None
    if first.kind != LEADERSHIP:
        raise JournalError(f"journal does not begin with a leadership: sequence={first.sequence} {first.kind_name}")
    return deciding_hash(first)


def stored_plugin(instance: Instance, content_hash: str) -> LoadedPlugin:
    """Load a plugin from the instance's store, verified; StoreError says what is missing or damaged."""
    return PluginStore(instance.directory).load(content_hash)
