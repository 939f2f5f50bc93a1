"""`VersionLookup`: which logic version a number (ordinal) in an entry's header stands for, without reading all of the
journal.

A number keeps its meaning as long as the instance lives. So it is taken from wherever it is said first: entries that
the caller has seen, headers of snapshots, the journal's first entry; only then from the whole journal (`deciders`).

Invariant: versions come from the instance's store, verified by their hash; what cannot be loaded is
`UnreadableVersionError`, never a guess.

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine.deciders import deciders
from statevec.engine.instance import Instance
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.snapshot_file import SnapshotError, list_snapshots, read_header
from statevec.engine.store import PluginStore, StoreError
from statevec.engine.versions import Decider, decider_of
from statevec.journal.entry_view import Entry


class UnreadableVersionError(StoreError):
    """Entries of a version cannot be decoded: it is not in the store, or damaged there."""

    def __init__(self, logic_version: int, reason: str) -> None:
        super().__init__(f"messages and records cannot be decoded: logic_version={logic_version}: {reason}")
        self.logic_version = logic_version


class VersionLookup:
    """The versions of one instance by their numbers; see the module's docstring."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._store = PluginStore(instance.directory)
        self._hashes: dict[int, str] = {}
        self._loaded: dict[int, LoadedPlugin] = {}
        self._problems: dict[int, str] = {}
        self._read_snapshots = False
        self._read_journal = False

    def note(self, entry: Entry) -> Decider | None:
        """Take in what an entry says about who decides; None for one that says nothing."""
        decider = decider_of(entry)
        if decider is not None:
            self._hashes[decider.logic_version] = decider.content_hash
        return decider

    def content_hash(self, logic_version: int) -> str:
        """The content hash of a version, empty when nothing that is left says it."""
        if logic_version not in self._hashes and not self._read_snapshots:
            self._read_snapshots = True
            self._take_snapshots()
        if logic_version not in self._hashes and not self._read_journal:
            self._read_journal = True
            self._hashes = {each.ordinal: each.content_hash for each in deciders(self._instance)} | self._hashes
        return self._hashes.get(logic_version, "")

    def _take_snapshots(self) -> None:
        for path in list_snapshots(self._instance.snapshots_directory):
            try:
                header = read_header(path)
            except (SnapshotError, OSError):
                continue  # who goes on from it says what is wrong
            if header.instance_id == self._instance.genesis.instance_id:
                self._hashes = {each.logic_version: each.content_hash for each in header.deciders} | self._hashes
                return

    def numbers(self) -> list[int]:
        """The numbers of all versions that decided, as far as journal and snapshots say."""
        self._read_snapshots = True
        self._take_snapshots()
        if not self._hashes and not self._read_journal:
            self.content_hash(0)
        return sorted(self._hashes)

    def plugin(self, logic_version: int) -> LoadedPlugin:
        """The version of that number. Raises `UnreadableVersionError`."""
        if logic_version in self._problems:
            raise UnreadableVersionError(logic_version, self._problems[logic_version])
        if logic_version not in self._loaded:
            content_hash = self.content_hash(logic_version)
            try:
                if not content_hash:
                    raise StoreError("neither journal nor snapshots say which version that is")
                self._loaded[logic_version] = self._store.load(content_hash)
            except (StoreError, PluginError, OSError) as error:
                self._problems[logic_version] = str(error)
                raise UnreadableVersionError(logic_version, str(error)) from error
        return self._loaded[logic_version]

    def spec(self, logic_version: int) -> str:
        """NAME@VERSION and the begin of its hash, or what is known of it."""
        content_hash = self.content_hash(logic_version)
        if not content_hash:
            return f"logic version {logic_version} (not known any more)"
        try:
            return str(self._store.version(content_hash))
        except StoreError:
            return f"not in the store ({content_hash[:12]})"
