"""Taking an instance over: from the lock to the moment at which a new epoch may begin.

    the log is in shared memory     adopt it, never rebuild it: the journaler writes again what the disk may lack
    it is not                       find the journal's end, cut a torn tail, make a log that begins there
    then                            execute the journal again from the newest usable snapshot, or from genesis, up to
                                    the appended position; a standby has done that and runs what it lacks: it reads no
                                    file, and waits for no disk

Invariants
    Only the holder of the instance's lock does this.
    A log of this instance is adopted with all that it holds (protocol rule 15: in `memory` mode it has released entries
    that no disk has). It is replaced, because another capacity or durability is configured, only after every byte of it
    is in the journal and durable.
    After it, journal and log end at the same position, and the arena is the state there.

A crash at any point leaves what was there before, or a log or a segment file more; the next takeover finds its way
from there.
"""

from __future__ import annotations

import grp
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from statevec.engine import engine_state
from statevec.engine.config import Config
from statevec.engine.engine_state import CLOCK
from statevec.engine.execution import Execution
from statevec.engine.instance import Instance, LeaderRecord
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.versions import first_decider
from statevec.ipc import log_layout
from statevec.ipc.log import attach_log, create_log, released_offset
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SHARED_MEMORY, Segment, read_header
from statevec.journal.entry_layout import ENTRY_HEADER_SIZE
from statevec.journal.halt_mark import halting_on_failed_sync
from statevec.journal.journaler import Journaler
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import GENESIS, JournalStart, find_end, recover
from statevec.roles.cursor import read_cursor
from statevec.roles.events import report
from statevec.roles.following import Following
from statevec.roles.halted import refuse_when_log_halted
from statevec.roles.snapshot import Snapshot, begin_following, newest_snapshot, snapshots_durable
from statevec.roles.standby import Standby
from statevec.state.tables import find

FLUSH_PAUSE_SECONDS = 0.001
CATCH_UP_SECONDS = 60.0
"""A standby that is far behind its dead leader runs millions of entries a second: this means that something hangs."""


class TakeoverError(Exception):
    """The instance cannot be led as it is; the text says what differs."""


@dataclass
class Taken:
    """What a leader begins with."""

    log: Segment
    journaler: Journaler
    following: Following
    """State, versions and history at the log's end, where the next entry goes."""


def take_over(
    instance: Instance,
    config: Config,
    configured: Callable[[], LoadedPlugin],
    previous: LeaderRecord | None,
    standby: Standby | None = None,
) -> Taken:
    """Bring journal, log and state together; see the module's docstring. A failed fsync leaves the halt mark (rule 11).

    `configured` loads the plugin that decides first where the log is empty; `previous` is who led before; a `standby`
    has the state of a log that is adopted already. Raises `HaltedError`, `TakeoverError`, `DiskError`, and what reading
    the journal raises.
    """
    with halting_on_failed_sync(instance.halt_path):
        return _take_over(instance, config, configured, previous, standby)


def _take_over(
    instance: Instance,
    config: Config,
    configured: Callable[[], LoadedPlugin],
    previous: LeaderRecord | None,
    standby: Standby | None,
) -> Taken:
    log = find_log(instance)
    refuse_when_log_halted(instance, log)
    adopted = log is not None
    snapshot = newest_snapshot(instance) if log is None or standby is None else None
    start = GENESIS if snapshot is None else snapshot.header.start
    if standby is not None and log is None:
        _check_lost_log(instance, standby, start)
        standby = None
    if log is None or standby is None:
        log = _recover(instance, config, log, previous, start)
    # SYNC POINT: pairs with the dead leader's release of the appended position.
    position = load_acquire(log.region, log_layout.APPENDED)
    if standby is not None:
        standby.catch_up(position, CATCH_UP_SECONDS)
    journaler = _start_journaler(instance, config, log)
    replaced = adopted and _differs(log, config)
    if replaced or standby is None:
        _wait_flushed(log, journaler, config.instance.durability, position)
    if replaced:
        journaler.stop()
        log = _replace_log(instance, config, log, position)
        journaler = _start_journaler(instance, config, log)
    try:
        following = standby.following if standby else _replay(instance, config, position, configured, snapshot)
    except BaseException:
        journaler.stop()
        raise
    how = {"adopted_log": adopted, "stood_by": standby is not None, "snapshot": start.sequence}
    report("recovered", sequence=following.execution.sequence, position=position, **how)
    return Taken(log, journaler, following)


def _check_lost_log(instance: Instance, standby: Standby, start: JournalStart) -> None:
    """The log is gone: what a standby followed must be in the journal, or entries were lost that were released."""
    end = find_end(instance.journal_directory, start=start)
    if standby.sequence > end.sequence:
        raise TakeoverError(
            f"log is gone, and the journal ends before what the last leader appended: journal={end.sequence} "
            f"followed={standby.sequence}"
        )


def _recover(
    instance: Instance, config: Config, log: Segment | None, previous: LeaderRecord | None, start: JournalStart
) -> Segment:
    """Find the journal's end behind `start` and cut a torn tail; the log, made if there is none."""
    reader = JournalReader(instance.journal_directory) if start == GENESIS else None
    if reader is not None and reader.first_position == 0:
        first_decider(reader, instance.instance_id)  # before anything is cut: it may be another instance's
    end = recover(instance.journal_directory, start=start, durable=known_durable(instance, log, previous))
    if log is None:
        return _make_log(instance, config, end.position)
    # SYNC POINT: pairs with the dead leader's release of the appended position.
    position = load_acquire(log.region, log_layout.APPENDED)
    if position < end.position:
        raise TakeoverError(f"journal has more than the log: journal={end.position} log={position} log={log.name!r}")
    return log


def known_durable(instance: Instance, log: Segment | None, previous: LeaderRecord | None) -> int:
    """The highest position that somebody saw durable: recovery must not cut below it (rule 9).

    A gateway's cursor tells only where an output is released after it is on disk; a snapshot always does.
    """
    known = snapshots_durable(instance)
    if log is not None:
        # SYNC POINT: pairs with the dead journaler's release of the durable position.
        known = max(known, load_acquire(log.region, log_layout.DURABLE))
    if previous is not None and previous.durability == "disk":
        for directory in instance.gateways_directory.iterdir():
            cursor = read_cursor(directory)
            if cursor.sequence > 0:
                known = max(known, cursor.position + ENTRY_HEADER_SIZE)
    return known


def _replay(
    instance: Instance,
    config: Config,
    position: int,
    configured: Callable[[], LoadedPlugin],
    snapshot: Snapshot | None,
) -> Following:
    """Execute the journal again up to `position`, through every cutover, with versions from the store."""
    following = begin_following(instance, config.engine.tier, snapshot, configured)
    result = following.run_to(JournalReader(instance.journal_directory), position)
    if result.difference is not None:
        raise TakeoverError(
            f"executing the journal again gives something else at sequence={result.difference.sequence} "
            f"position={result.difference.position}; run: statevec verify --instance {instance.directory}"
        )
    return following


def find_log(instance: Instance) -> Segment | None:
    """The instance's log in shared memory, None when there is none; who calls this holds the lock."""
    path = SHARED_MEMORY / instance.segment_name("log")[1:]
    if path.exists() and not was_finished(path):
        path.unlink()  # its maker died in the middle, nobody ever attached to it
    if not path.exists():
        return None
    return attach_log(instance.instance_id, writable=True, populate=False)  # a leader locks its pages once it leads


def was_finished(path: Path) -> bool:
    """Whether the segment file at `path` was completed by its maker."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # a link, say: no segment of ours
    try:
        header = read_header(descriptor)
    finally:
        os.close(descriptor)
    return header is not None and header.magic != 0


def _make_log(instance: Instance, config: Config, position: int) -> Segment:
    return create_log(
        instance.instance_id,
        config.log.capacity,
        released_by="leader" if config.instance.durability == "memory" else "journaler",
        position=position,
        group=config.instance.group,
    )


def _replace_log(instance: Instance, config: Config, log: Segment, position: int) -> Segment:
    """A log as configured in place of one whose every byte is in the journal; what was running is not forgotten."""
    running = (log_layout.RUNNING_SOURCE, log_layout.RUNNING_SEQUENCE, log_layout.RUNNING_ATTEMPTS)
    values = [log.region.load_i64(offset) for offset in running]
    log.unlink()
    log.close()
    replaced = _make_log(instance, config, position)
    for offset, value in zip(running, values, strict=True):
        replaced.region.store_i64(offset, value)
    return replaced


def _differs(log: Segment, config: Config) -> bool:
    released_by_leader = released_offset(log) == log_layout.RELEASED_BY_LEADER
    return log.capacity != config.log.capacity or released_by_leader != (config.instance.durability == "memory")


def _start_journaler(instance: Instance, config: Config, log: Segment) -> Journaler:
    journaler = Journaler(
        instance.journal_directory,
        log.region,
        config.instance.durability,
        segment_size=config.journal.segment_size,
        halt_path=instance.halt_path,
        group=None if config.instance.group is None else grp.getgrnam(config.instance.group).gr_gid,
    )
    journaler.start()
    return journaler


def _wait_flushed(log: Segment, journaler: Journaler, durability: str, position: int) -> None:
    """Wait until the journal has all that the log had (rule 11)."""
    flushed_at = log_layout.DURABLE if durability == "disk" else log_layout.WRITTEN
    # SYNC POINT: pairs with the journaler's release of its positions.
    while load_acquire(log.region, flushed_at) < position:
        if not journaler.running:
            journaler.stop()
            raise TakeoverError(f"journaler ended before the log was written: {journaler.statistics()}")
        time.sleep(FLUSH_PAUSE_SECONDS)


def check_clock(execution: Execution, config: Config, now_ns: int) -> None:
    """Refuse to lead with a clock that is far from the last entry's time (rule 20)."""
    row = find(execution.tx, CLOCK, 0)
    last_ns = execution.arena.load_i64(row + engine_state.CLOCK_LAST_TIME_NS)
    if last_ns == 0:
        return
    ahead_ns = now_ns - last_ns
    engine = config.engine
    if -engine.clock_tolerance <= ahead_ns <= engine.downtime_tolerance:
        return
    raise TakeoverError(
        f"clock is {'ahead of' if ahead_ns > 0 else 'behind'} the last entry by {abs(ahead_ns) / 1e9:.3f} s: "
        f"now_ns={now_ns} last_ns={last_ns} engine.clock_tolerance={engine.clock_tolerance} "
        f"engine.downtime_tolerance={engine.downtime_tolerance}; set the clock, or start once with --accept-clock"
    )
