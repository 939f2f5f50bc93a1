"""An instance directory: what identifies an instance, who may lead it, and what survives a restart beside the journal.

    instance.json       id, format version, UNIT, MAX_ENTRY, MAX_INPUT, created; written once (genesis)
    epoch               last epoch that was begun; fsynced before its first entry
    leader.json         who took the lock last and what it leads with; the lock itself is the truth
    halt                exists after a disk error; text says why; only an operator removes it
    journal/            segment files
    plugins/<hash>/     every logic version that ever decided
    snapshots/          states of followers at a sequence (`snapshot_file`)
    gateways/<name>     durable cursors
    alarms/             the last warnings and alarms, by whoever reports them (`roles/alarm_files`)

Invariants
    `instance.json` never changes. Small files are replaced whole: temporary name, fsync, rename, fsync of the
    directory. Only the holder of the lock writes anything but `gateways/`, `snapshots/` and `alarms/`.
    The lock is flock on the directory's own descriptor (protocol rule 13: a lock file can be replaced by another).
    Its holder never forks, since a child would hold the lock too.

A crash leaves the old or the new version of a small file, and possibly a temporary one (`.NAME.tmp`) that the
next write replaces. For `plugins/` see `store`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from statevec.ipc import log_layout, segment_layout
from statevec.ipc.process_identity import ProcessIdentity
from statevec.journal.disk import (
    make_directories,
    make_directory,
    open_directory,
    read_file,
    remove,
    replace_file,
    sync_directory,
)

FORMAT_VERSION = 1
INSTANCE_FILE = "instance.json"
EPOCH_FILE = "epoch"
LEADER_FILE = "leader.json"
HALT_FILE = "halt"
JOURNAL_DIRECTORY = "journal"
PLUGINS_DIRECTORY = "plugins"
GATEWAYS_DIRECTORY = "gateways"
SNAPSHOTS_DIRECTORY = "snapshots"
SHADOWS_DIRECTORY = "shadows"
DIRECTORIES = (JOURNAL_DIRECTORY, PLUGINS_DIRECTORY, GATEWAYS_DIRECTORY, SNAPSHOTS_DIRECTORY, SHADOWS_DIRECTORY)
"""Those of an instance; the last two are made when they are needed."""
READABLE = 0o644
"""Mode of what a producer with a user id of its own has to read; the umask may take from it."""
FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs")
"""File systems whose flock and fsync are known to keep their promises for processes of one host."""


class InstanceError(Exception):
    """The directory is not a usable instance; the text says which part and why."""


class LeaderActiveError(InstanceError):
    """Another process leads the instance."""


class HaltedError(InstanceError):
    """A disk error stopped the instance, and nobody has cleared the mark yet."""


class Genesis(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is fixed when an instance is made."""

    format_version: int
    instance_id: str
    unit: int
    max_entry: int
    max_input: int
    created: str


class LeaderRecord(msgspec.Struct, frozen=True):
    """Who took the lock last and, once it leads, with what: producers, gateways and commands look here."""

    pid: int
    host: str
    since: str
    epoch: int = 0
    """0 while it does not lead yet."""
    durability: str = ""
    content_hash: str = ""
    """Names the plugin in the store."""
    rings: dict[str, int] = {}
    """Ring name to source number."""
    gateways: dict[str, list[str] | None] = {}
    """Gateway name to the messages bound to it, None for all."""
    started_ms: int = 0
    """When the process started, ms after boot: a number used again is another process."""
    log: str = ""
    """Which log it leads with: boot, device and inode. Who sees another one of that name must not follow (rule 13)."""


def file_system_of(path: Path) -> str:
    """Type of the file system that holds `path`, from the mount with the longest prefix."""
    resolved = str(path.resolve())
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split(" ")
        mount = mount.encode().decode("unicode_escape")  # blanks stand there as \040
        inside = resolved == mount or resolved.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


@dataclass(frozen=True)
class Instance:
    """An instance directory that was opened and checked; holds nothing open."""

    directory: Path
    genesis: Genesis

    @property
    def instance_id(self) -> int:
        return int(self.genesis.instance_id, 16)

    @property
    def owner(self) -> int:
        """User id that the instance belongs to: its segments must be of that user."""
        return (self.directory / INSTANCE_FILE).stat().st_uid

    @property
    def journal_directory(self) -> Path:
        return self.directory / JOURNAL_DIRECTORY

    @property
    def gateways_directory(self) -> Path:
        return self.directory / GATEWAYS_DIRECTORY

    @property
    def snapshots_directory(self) -> Path:
        """It is not there before the first snapshot."""
        return self.directory / SNAPSHOTS_DIRECTORY

    @property
    def halt_path(self) -> Path:
        return self.directory / HALT_FILE

    def segment_name(self, what: str) -> str:
        """Name of a segment in shared memory: `what` is `log`, `ring-NAME` or `counters-ROLE`."""
        return f"/{segment_layout.NAME_PREFIX}{self.instance_id:016x}-{what}"

    def plugin_directory(self, content_hash: str) -> Path:
        return self.directory / PLUGINS_DIRECTORY / content_hash

    def read_epoch(self) -> int:
        """The last epoch that was begun, 0 before the first."""
        path = self.directory / EPOCH_FILE
        try:
            text = read_file(path).decode("ascii", "replace")
        except FileNotFoundError:
            return 0
        try:
            epoch = int(text)
        except ValueError as error:
            raise InstanceError(f"{path} is damaged: expected a number, got {text[:40]!r}") from error
        if epoch < 1:
            raise InstanceError(f"{path} is damaged: an epoch is 1 or more, got {epoch}")
        return epoch

    def begin_epoch(self, epoch: int) -> None:
        """Persist `epoch`; it must be durable before the first entry of that epoch (protocol rule 14)."""
        last = self.read_epoch()
        if epoch <= last:
            raise InstanceError(f"epochs only grow: epoch={epoch} last={last}")
        replace_file(self.directory / EPOCH_FILE, b"%d\n" % epoch)

    def halt_reason(self) -> str | None:
        """The text of the halt mark, None when there is none."""
        try:
            return read_file(self.halt_path).decode(errors="replace").strip()
        except FileNotFoundError:
            return None

    def refuse_when_halted(self) -> None:
        """Raise `HaltedError` if a disk error left its mark (protocol rule 11)."""
        reason = self.halt_reason()
        if reason is not None:
            raise self.halted(reason)

    def halted(self, reason: str) -> HaltedError:
        """The error of who wants to lead although a disk error halted the instance."""
        return HaltedError(
            f"{self.directory} was halted by a disk error: {reason}; "
            f"find out why, then run: statevec resume --instance {self.directory}"
        )

    def clear_halt(self) -> None:
        """Remove the halt mark; who calls this holds the lock and answers for the disk."""
        remove(self.halt_path, missing_ok=True)
        sync_directory(self.directory)

    def leader(self) -> LeaderRecord | None:
        """Who took the lock last, None when that is not known."""
        return read_leader(self.directory)


def read_leader(directory: Path) -> LeaderRecord | None:
    """Who took the lock of the instance in `directory` last, None when that is not known.

    Raises `DiskError` where it is there and cannot be read: what depends on it must not be guessed.
    """
    try:
        return msgspec.json.decode(read_file(directory / LEADER_FILE), type=LeaderRecord)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


class LeaderLock:
    """The right to lead one instance: flock on the directory's own descriptor (protocol rule 13)."""

    def __init__(self, instance_directory: Path, wait: bool = False) -> None:
        """Take the lock or raise `LeaderActiveError`, which says who has it; or wait until it is free."""
        kind = file_system_of(instance_directory)
        if kind not in FILE_SYSTEMS:
            raise InstanceError(
                f"{instance_directory} lies on a file system that statevec does not trust with its lock: "
                f"got {kind}, expected one of {', '.join(FILE_SYSTEMS)}"
            )
        self._directory = instance_directory
        self._descriptor = open_directory(instance_directory.resolve())
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(self._descriptor)
            raise LeaderActiveError(_who_leads(instance_directory)) from None
        try:
            self.previous = read_leader(instance_directory)
            """Who led before, as far as that is known."""
        except OSError:
            os.close(self._descriptor)
            raise
        self._since = datetime.now(UTC).isoformat(timespec="milliseconds")

    def record(self, **facts: Any) -> None:
        """Say in `leader.json` who holds the lock, and `facts` of `LeaderRecord`; the others stay as they were.

        So a gateway that starts while the next leader still recovers finds what is bound to it.
        """
        known = {} if self.previous is None else msgspec.structs.asdict(self.previous)
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since, "epoch": 0}
        mine["started_ms"] = ProcessIdentity.current().started_ms
        record = LeaderRecord(**{**known, **mine, **facts})
        replace_file(self._directory / LEADER_FILE, msgspec.json.encode(record), durable=False, mode=READABLE)

    def release(self) -> None:
        """Give the lock up; harmless when it was given up before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> LeaderLock:
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()


def _who_leads(directory: Path) -> str:
    leader = read_leader(directory)
    if leader is None:
        return f"{directory} is led by another process (which has not said who it is)"
    return f"{directory} is led by process {leader.pid} on {leader.host} since {leader.since}"


def open_instance(directory: str | Path) -> Instance:
    """Open an instance that exists and check what identifies it. Raises `InstanceError`."""
    path = Path(directory)
    file = path / INSTANCE_FILE
    try:
        content = read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        raise InstanceError(f"{path} is not an instance: it has no {INSTANCE_FILE}") from None
    except OSError as error:
        raise InstanceError(f"cannot read {file}: {error}") from error
    try:
        fields = msgspec.json.decode(content)
        version = fields["format_version"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InstanceError(f"{file} is damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise InstanceError(
            f"{path} has another format than this statevec reads: format_version={version} expected={FORMAT_VERSION}"
        )
    try:
        genesis = msgspec.convert(fields, Genesis)
        number = int(genesis.instance_id, 16)
    except (msgspec.ValidationError, ValueError) as error:
        raise InstanceError(f"{file} is damaged: {error}") from error
    limits = (genesis.unit, genesis.max_entry, genesis.max_input)
    expected = (log_layout.UNIT, log_layout.MAX_ENTRY, log_layout.MAX_INPUT)
    if limits != expected or not 0 < number < 1 << 63:
        raise InstanceError(
            f"{file} does not fit this statevec: unit, max_entry, max_input={limits} expected={expected} "
            f"instance_id={genesis.instance_id}"
        )
    for name in DIRECTORIES:
        if (path / name).is_symlink():
            raise InstanceError(
                f"{path / name} is a symbolic link, and none is followed: put the directory itself there"
            )
    return Instance(path.resolve(), genesis)


def prepare_directory(directory: Path) -> None:
    """Make the directory if it is not there; refuse one that holds something else than an instance."""
    make_directories(directory)
    sync_directory(directory.parent.resolve())
    if (directory / INSTANCE_FILE).exists():
        return
    foreign = sorted(each.name for each in directory.iterdir() if each.name not in _MADE_BEFORE_GENESIS)
    if foreign:
        raise InstanceError(f"{directory} is not an instance and not empty: it holds {', '.join(foreign[:5])}")


_MADE_BEFORE_GENESIS = {
    JOURNAL_DIRECTORY,
    PLUGINS_DIRECTORY,
    GATEWAYS_DIRECTORY,
    f".{INSTANCE_FILE}.tmp",
    LEADER_FILE,
    f".{LEADER_FILE}.tmp",
}


def create_instance(directory: Path) -> Instance:
    """Genesis: make the instance in a prepared directory; who calls this holds the lock."""
    for name in (JOURNAL_DIRECTORY, PLUGINS_DIRECTORY, GATEWAYS_DIRECTORY):
        make_directory(directory / name)
    genesis = Genesis(
        format_version=FORMAT_VERSION,
        instance_id=f"{secrets.randbelow((1 << 63) - 1) + 1:016x}",
        unit=log_layout.UNIT,
        max_entry=log_layout.MAX_ENTRY,
        max_input=log_layout.MAX_INPUT,
        created=datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
    )
    sync_directory(directory)
    content = msgspec.json.format(msgspec.json.encode(genesis), indent=2) + b"\n"
    replace_file(directory / INSTANCE_FILE, content, mode=READABLE)
    return open_instance(directory)
