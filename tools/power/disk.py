"""A disk that loses power: what survives of a write history, chosen anew for each image.

    a file      its bytes at the last sync; each page (4 KiB) written since stands at any one of the states that it had
                since then, or torn: each of its sectors (512 B) at another one. Its length is one of those it had
    a directory its names at the last sync; of the changes since, the first few happened, in their order (ext4-like:
                a rename is one change, and may be lost as long as the directory was not synced)

Invariants
    What was synced is in every image. Pages and files are independent of each other: any order of writing back can be.
    `write_image` changes nothing here: many images can be made at one point of the history.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from tools.power import history
from tools.power.history import Event

PAGE, SECTOR = 4096, 512
NOTHING, EVERYTHING, ANYTHING = "nothing", "everything", "anything"
CHOICES = (NOTHING, EVERYTHING, ANYTHING)
"""What of the unsynced survives in a whole image, or in one file of it."""
TORN = 0.25
"""How often a page that was written since the last sync is torn."""


@dataclass
class File:
    """A file's bytes at its last sync, and what was done to it since: (offset, bytes), or (new length, None)."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, content in self.pending:
            _apply(self.synced, offset, content)
        self.pending.clear()

    def content(self) -> bytes:
        """As a process sees it, which reads what is not synced too."""
        seen = bytearray(self.synced)
        for offset, content in self.pending:
            _apply(seen, offset, content)
        return bytes(seen)

    def survivor(self, choice: str, draws: random.Random) -> bytes:
        """What may be found after the power was gone."""
        if choice == NOTHING or not self.pending:
            return bytes(self.synced)
        if choice == EVERYTHING:
            return self.content()
        lengths = [len(self.synced)]
        touched: dict[int, list[tuple[int, bytes]]] = {}
        for offset, content in self.pending:
            lengths.append(offset if content is None else max(lengths[-1], offset + len(content)))
            if content:
                for page in range(offset // PAGE, (offset + len(content) - 1) // PAGE + 1):
                    touched.setdefault(page, []).append((offset, content))
        found = bytearray(self.synced.ljust(max(lengths), b"\0"))
        for page, writes in touched.items():
            if draws.random() < TORN:
                for sector in range(page * PAGE, (page + 1) * PAGE, SECTOR):
                    _rewrite(found, sector, sector + SECTOR, writes[: draws.randint(0, len(writes))])
            else:
                _rewrite(found, page * PAGE, (page + 1) * PAGE, writes[: draws.randint(0, len(writes))])
        return bytes(found[: draws.choice(lengths)])


def _apply(target: bytearray, offset: int, content: bytes | None) -> None:
    """A write; or a new length, what is new being zeros."""
    if content is None:
        if offset < len(target):
            del target[offset:]
        target.extend(bytes(offset - len(target)))
        return
    if offset + len(content) > len(target):
        target.extend(bytes(offset + len(content) - len(target)))
    target[offset : offset + len(content)] = content


def _rewrite(target: bytearray, start: int, end: int, writes: list[tuple[int, bytes]]) -> None:
    """Do the part of each write that lies in start … end - 1."""
    for offset, content in writes:
        first, last = max(start, offset), min(end, offset + len(content))
        if first < last:
            target[first:last] = content[first - offset : last - offset]


@dataclass
class Directory:
    """Names at the last sync, and the changes since: name and number (None: the name goes), several at once."""

    synced: dict[str, int] = field(default_factory=dict)
    pending: list[dict[str, int | None]] = field(default_factory=list)

    def names(self, changes: int | None = None) -> dict[str, int]:
        """The names after the first `changes` changes since the last sync, or all."""
        found: dict[str, int | None] = dict(self.synced)
        for change in self.pending[:changes]:
            found |= change
        return {name: number for name, number in found.items() if number is not None}

    def sync(self) -> None:
        self.synced = self.names()
        self.pending.clear()


class Disk:
    """The state of a recorded directory up to some event; `apply` goes on."""

    def __init__(self) -> None:
        self._files: dict[int, File | Directory] = {history.ROOT: Directory()}

    def _directory(self, number: int) -> Directory:
        found = self._files[number]
        assert isinstance(found, Directory)
        return found

    def _file(self, number: int) -> File:
        found = self._files[number]
        assert isinstance(found, File)
        return found

    def apply(self, event: Event) -> None:
        """Do what the call did."""
        match event.call:
            case history.CREATE | history.MAKE_DIRECTORY:
                self._files[event.number] = File() if event.call == history.CREATE else Directory()
                self._directory(event.directory).pending.append({event.name: event.number})
            case history.RENAME:
                change: dict[str, int | None] = {event.name: None, event.new_name: event.number}
                self._directory(event.directory).pending.append(change)
            case history.UNLINK | history.REMOVE_DIRECTORY:
                self._directory(event.directory).pending.append({event.name: None})
            case history.SYNC:
                self._files[event.number].sync()
            case history.WRITE:
                self._file(event.number).pending.append((event.offset, event.content))
            case history.RESIZE:
                self._file(event.number).pending.append((event.offset, None))
            case history.ALLOCATE:
                file = self._file(event.number)
                if event.offset > len(file.content()):
                    file.pending.append((event.offset, None))
            case _:
                raise AssertionError(f"call that is not known: {event}")

    def unsynced(self) -> int:
        """How many changes could be lost now."""
        return sum(len(each.pending) for each in self._files.values())

    def contents(self) -> dict[str, bytes]:
        """Every file as a process sees it, by path: to compare with the real directory."""
        found: dict[str, bytes] = {}

        def walk(number: int, path: str) -> None:
            for name, each in self._directory(number).names().items():
                file = self._files[each]
                if isinstance(file, Directory):
                    walk(each, f"{path}{name}/")
                else:
                    found[path + name] = file.content()

        walk(history.ROOT, "")
        return found

    def write_image(self, target: Path, draws: random.Random) -> str:
        """Make the directory `target` what a disk may hold now; how it was chosen, in words."""
        whole = draws.choice((*CHOICES, ANYTHING))
        self._write_directory(history.ROOT, target, whole, draws)
        return whole

    def _write_directory(self, number: int, target: Path, whole: str, draws: random.Random) -> None:
        directory = self._directory(number)
        choice = draws.choice(CHOICES) if whole == ANYTHING else whole
        last = len(directory.pending)
        changes = {NOTHING: 0, EVERYTHING: last}.get(choice, draws.randint(0, last))
        target.mkdir()
        for name, each in directory.names(changes).items():
            file = self._files[each]
            if isinstance(file, Directory):
                self._write_directory(each, target / name, whole, draws)
                continue
            choice = draws.choice(CHOICES) if whole == ANYTHING else whole
            write_sparse(target / name, file.survivor(choice, draws))


def write_sparse(path: Path, content: bytes) -> None:
    """Write a file, pages of zeros as holes."""
    with open(path, "wb") as file:
        file.truncate(len(content))
        for offset in range(0, len(content), 1 << 16):
            part = content[offset : offset + (1 << 16)]
            if part.count(0) != len(part):
                file.seek(offset)
                file.write(part)
