"""The plugin store of an instance: every logic version that was added or ever decided, with its source, by its hash.

    plugins/<content hash>/          the plugin's files, byte for byte
    plugins/<content hash>/.stored   JSON: name, version, when it was added, a hash of each file

Invariants
    A directory's name is the content hash of the files in it; `load` believes neither the name nor `.stored`: it hashes
    what is there. One name@version stands for one content: the same again with other bytes is refused.
    Nothing is ever changed or removed. `.stored` is a dot file, so it does not belong to the plugin's content, and it
    decides nothing: a version without it loads as well.
    Nothing in a version's directory is a symbolic link, and what `load` executes are the bytes that it hashed.

Who writes and who reads
    `plugin add` and the leader write, each under flock on `plugins/` for the moment of it. Everybody reads, without a
    lock: a version's directory gets its name when all of it is on disk.

A crash leaves a directory with a temporary name (`.<hash>.tmp`), which nobody reads and the next `add` replaces.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from statevec.engine.instance import PLUGINS_DIRECTORY
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.plugin.source import hash_of_files, plugin_files
from statevec.journal.disk import (
    make_directories,
    make_directory,
    open_directory,
    read_file,
    remove_tree,
    rename,
    replace_file,
    sync_directory,
)

LABEL_FILE = ".stored"
CONTENT_HASH = re.compile(r"[0-9a-f]{32}")
HASH_PREFIX = re.compile(r"[0-9a-f]{6,32}")


class StoreError(Exception):
    """The store does not hold what was asked for, holds it damaged, or must not hold it."""


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `.stored` says about the files beside it."""

    name: str
    version: str
    added: str
    """When, ISO 8601 in UTC."""
    files: dict[str, str]
    """Hash (hex) of each file by its name: so damage can be told by file."""


@dataclass(frozen=True)
class StoredVersion:
    """A logic version in the store."""

    name: str
    version: str
    content_hash: str
    directory: Path
    added: str = ""
    problem: str = ""
    """Why name and version are not known, empty when they are."""

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"{self.spec if self.name else 'damaged'} ({self.content_hash[:12]})"


class PluginStore:
    """The plugin store in an instance's directory; see the module's docstring. Holds nothing open."""

    def __init__(self, instance_directory: Path) -> None:
        self.directory = Path(instance_directory) / PLUGINS_DIRECTORY

    def add(self, path: Path | str) -> StoredVersion:
        """Load and check the plugin at `path`, compile it into the cache of compiled code, keep its files.

        PluginError for what is wrong with the plugin, StoreError when its name@version stands for other bytes.
        """
        loaded = load_plugin(path)
        self._refuse_other_bytes(loaded)  # before seconds of compilation
        loaded.dispatch("compiled")
        return self.keep(loaded)

    def keep(self, loaded: LoadedPlugin) -> StoredVersion:
        """Keep the files of a loaded plugin, durably, unless they are there."""
        target = self.directory / loaded.content_hash
        with self.locked():
            if target.is_dir():
                self._verify(loaded.content_hash)
            else:
                self._refuse_other_bytes(loaded)
                self._write(loaded, target)
        return self.version(loaded.content_hash)

    def versions(self) -> list[StoredVersion]:
        """All versions, by name and then by version number."""
        if not self.directory.is_dir():
            return []
        hashes = [each.name for each in self.directory.iterdir() if CONTENT_HASH.fullmatch(each.name)]
        return sorted((self.version(each) for each in hashes), key=lambda each: (each.name, _number(each.version)))

    def version(self, content_hash: str) -> StoredVersion:
        """What the store says of one version, its files unread."""
        directory = self._directory_of(content_hash)
        try:
            label = _read_label(directory)
        except StoreError as error:
            return StoredVersion("", "", content_hash, directory, problem=str(error))
        return StoredVersion(label.name, label.version, content_hash, directory, label.added)

    def find(self, spec: str) -> StoredVersion:
        """The version that `spec` means: name@version, or the first 6 or more digits of its content hash."""
        known = self.versions()
        found = [each for each in known if each.spec == spec]
        if not found and HASH_PREFIX.fullmatch(spec):
            found = [each for each in known if each.content_hash.startswith(spec)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(str(each) for each in found or known) or "nothing"
        if found:
            raise StoreError(f"{spec!r} is ambiguous; it may be {there}")
        if "@" not in spec and not HASH_PREFIX.fullmatch(spec):
            raise StoreError(
                f"a version is NAME@VERSION or 6 or more digits of its hash, not {spec!r}; stored: {there}"
            )
        raise StoreError(f"{spec!r} was never added to {self.directory}; stored: {there}")

    def load(self, content_hash: str) -> LoadedPlugin:
        """Load a version after its files were hashed. StoreError names what is missing or damaged."""
        files = self._verify(content_hash)
        directory = self._directory_of(content_hash)
        loaded = load_plugin(directory, files)
        stored = self.version(content_hash)
        if not stored.problem and (stored.name, stored.version) != (loaded.name, loaded.version):
            raise StoreError(f"stored plugin is damaged: {directory / LABEL_FILE} says {stored.spec}, the plugin not")
        return loaded

    def files(self, content_hash: str) -> dict[str, bytes]:
        """The files of a version by name, verified."""
        return self._verify(content_hash)

    def _directory_of(self, content_hash: str) -> Path:
        directory = self.directory / content_hash
        if not CONTENT_HASH.fullmatch(content_hash) or not directory.is_dir():
            raise StoreError(f"logic version is not in the store: content_hash={content_hash} in {self.directory}")
        return directory

    def _verify(self, content_hash: str) -> dict[str, bytes]:
        directory = self._directory_of(content_hash)
        _refuse_links(directory)
        files = plugin_files(directory)
        found = hash_of_files(files)
        if found != content_hash:
            raise StoreError(
                f"stored plugin is damaged: {_damaged(directory, files)}: "
                f"content_hash={content_hash} found={found}; restore it from a copy"
            )
        return files

    def _refuse_other_bytes(self, loaded: LoadedPlugin) -> None:
        for each in self.versions():
            if each.spec == f"{loaded.name}@{loaded.version}" and each.content_hash != loaded.content_hash:
                raise StoreError(
                    f"{each.spec} is in the store with other bytes: stored={each.content_hash} "
                    f"given={loaded.content_hash} from {loaded.path}; give the changed plugin a new version"
                )

    def _write(self, loaded: LoadedPlugin, target: Path) -> None:
        files = loaded.source.files
        added = datetime.now(UTC).isoformat(timespec="seconds")
        hashes = {name: _hash(content) for name, content in files.items()}
        label = msgspec.json.encode(Label(loaded.name, loaded.version, added, hashes))
        temporary = target.with_name(f".{loaded.content_hash}.tmp")
        remove_tree(temporary)
        for name, content in {**files, LABEL_FILE: label}.items():
            path = temporary / name
            make_directories(path.parent)
            replace_file(path, content, mode=0o644)
        for directory, _, _ in os.walk(temporary):
            sync_directory(Path(directory))
        rename(temporary, target)
        sync_directory(target.parent)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Two writers, one after the other: they must not both find that a name@version is free."""
        make_directory(self.directory)
        descriptor = open_directory(self.directory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".") if each)


def _refuse_links(directory: Path) -> None:
    """The store writes files and directories only: a symbolic link is somebody else's, wherever it points."""
    below = (Path(parent, name) for parent, *names in os.walk(directory) for name in sorted([*names[0], *names[1]]))
    for path in (directory, *below):
        if path.is_symlink():
            raise StoreError(f"stored plugin is damaged: {path} is a symbolic link; restore it from a copy")


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _read_label(directory: Path) -> Label:
    path = directory / LABEL_FILE
    try:
        return msgspec.json.decode(read_file(path), type=Label)
    except FileNotFoundError:
        raise StoreError(f"stored plugin is damaged: {path} is missing") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"stored plugin is damaged: {path}: {error}") from error


def _damaged(directory: Path, files: dict[str, bytes]) -> str:
    """Which file differs from what was stored, in words."""
    try:
        expected = _read_label(directory).files
    except StoreError:
        return str(directory)
    for name in sorted(expected | files):
        if name not in files:
            return f"{directory / name} is missing"
        if name not in expected:
            return f"{directory / name} does not belong to it"
        if _hash(files[name]) != expected[name]:
            return f"{directory / name} was changed"
    return f"{directory / LABEL_FILE} does not fit the files"
