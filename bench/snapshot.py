"""Snapshots of some 100 MB of state: how long a follower pauses, how fast a file is written and verified, and read.

The state is a ledger with many accounts, so nearly all of the image is in use. Writing is beside a plain write of the
same bytes with its fsync, which does not read them back; reading, which is what recovery waits for, has an absolute
target. The file is in the page cache when it is read, as after the death of a process; from the disk alone is in the
details.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from bench.engine import work_directory
from bench.figure import Comparison, alternate
from bench.growth import CAPACITY, LEDGER
from bench.growth_kernels import open_accounts
from bench.processes import FIRST_CORE, pinned
from statevec.engine.instance import Instance, create_instance, prepare_directory
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.snapshot_file import list_snapshots, read_snapshot
from statevec.engine.store import PluginStore
from statevec.engine.versions import Decider
from statevec.ipc.log_layout import MAX_ENTRY
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as entries
from statevec.roles.following import Following
from statevec.roles.snapshot import capture, newest_snapshot, restore, write_snapshot

ACCOUNTS = 1_400_000
ACCOUNTS_SMOKE = 1_000
READ_LEAST = 1e9
PLAIN = "plain write and fsync"


def followed_ledger(folder: Path, accounts: int) -> tuple[Instance, Following]:
    """A follower that has that many accounts, as if the log of a new instance had opened them."""
    directory = folder / "ledger"
    shutil.copytree(LEDGER, directory, ignore=shutil.ignore_patterns("__pycache__"))
    source = directory / "ledger.py"
    source.write_text(source.read_text().replace(CAPACITY, f"capacity={accounts}"))
    plugin = load_plugin(directory)
    prepare_directory(folder / "instance")
    instance = create_instance(folder / "instance")
    PluginStore(instance.directory).keep(plugin)
    following = Following.from_genesis(instance, plugin, "compiled")
    following.versions.history.decide(Decider(1, plugin.name, plugin.version, plugin.content_hash))
    entry = Region.allocate(MAX_ENTRY)
    message = plugin.schema.encode("Post", {"account": 0, "amount": 1})
    entry.view[entries.INPUT : entries.INPUT + len(message)] = message
    outcome = open_accounts(following.execution.tx, following.execution.block, entry, accounts)
    if outcome != 0:
        raise RuntimeError(f"a posting ended with outcome {outcome}")
    return instance, following


def _plain_rate(folder: Path, content: memoryview) -> float:
    path = folder / "plain"
    begin = time.perf_counter()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = content
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    took = time.perf_counter() - begin
    path.unlink()
    return len(content) / took


def measure(smoke: bool) -> list[Comparison]:
    """Pause, writing and reading."""
    rounds, accounts = (1, ACCOUNTS_SMOKE) if smoke else (7, ACCOUNTS)
    folder = work_directory()
    try:
        with pinned(FIRST_CORE):
            instance, following = followed_ledger(folder, accounts)
            size = following.execution.arena.size
            return _measure(folder, instance, following, size, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, instance: Instance, following: Following, size: int, rounds: int) -> list[Comparison]:
    pause = Comparison(f"snapshot, pause of the follower for {size >> 20} MiB", "ms", "lower")
    write = Comparison("snapshot written, synced and read back", "B/s", "higher")
    read = Comparison("snapshot read and verified", "B/s", "higher", target="≥ 1 GB/s")
    read.excludes = "loading the plugin, which does not depend on the size"
    pause.details = write.details = {"bytes": size}
    read.details = {"bytes": size, "from_disk": [], "seconds_to_restore_with_plugin": []}

    def capture_ms() -> float:
        begin = time.perf_counter()
        capture(following)
        return 1e3 * (time.perf_counter() - begin)

    def write_rate() -> float:
        captured = capture(following)
        begin = time.perf_counter()
        write_snapshot(instance, captured, lambda: True)
        return size / (time.perf_counter() - begin)

    def read_rate() -> float:
        [path] = list_snapshots(instance.snapshots_directory)
        drop_from_cache(path)
        samples = []
        for _ in range(2):
            begin = time.perf_counter()
            read_snapshot(path)
            samples.append(size / (time.perf_counter() - begin))
        read.details["from_disk"].append(samples[0])
        read.details["seconds_to_restore_with_plugin"].append(restore_s())
        return samples[1]

    def restore_s() -> float:
        begin = time.perf_counter()
        found = newest_snapshot(instance)
        if found is None:
            raise RuntimeError("the snapshot that was written cannot be used")
        restore(found, instance, "compiled")
        return time.perf_counter() - begin

    alternate(pause, capture_ms, {}, rounds)
    alternate(write, write_rate, {PLAIN: lambda: _plain_rate(folder, following.execution.arena.view)}, rounds)
    alternate(read, read_rate, {}, rounds)
    read.met = read.middle >= READ_LEAST
    return [pause, write, read]


def drop_from_cache(path: Path) -> None:
    """Let the file be read from the disk the next time."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
