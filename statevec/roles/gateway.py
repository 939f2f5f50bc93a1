"""`Gateway`: the way of released outputs out of an instance, each once and in order.

    with Gateway("instance", "venue") as gateway:
        for output in gateway:                    # waits for the next one
            hand_to_the_outside(output.message)
            gateway.acknowledge(output)           # durable: never again after this

Invariants
    Only released outputs are handed out. They come in the order of (sequence, index), without gap, from the cursor on.
    An output's identity (epoch, sequence, index) is never used twice, so that the outside can refuse a repeat: what was
    handed out and not acknowledged before a crash is handed out again, with the same identity.
    The log must agree with the cursor, else the gateway does not start (protocol rule 19).
    An output that has expired is not handed out; it is counted and told to `on_expired` (rule 23).
    A silence of the leader that is longer than `silent_after` is told to `on_silence`, once each time (rule 23).

The gateway reads the log, or the segment files where the log has moved on (rule 8); it writes only its cursor
(`cursor`). A crash leaves the cursor of the last acknowledgement.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from statevec.engine.instance import Instance, InstanceError, open_instance
from statevec.engine.store import PluginStore
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, log_statistics
from statevec.ipc.python_call import load_acquire
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.roles.cursor import Cursor, CursorFile
from statevec.roles.events import Speaker
from statevec.roles.messages import MessageFilter
from statevec.roles.output_source import OutputSource

FIRST_PAUSE_SECONDS = 0.000_02
LONGEST_PAUSE_SECONDS = 0.000_5
CURSOR_ADVANCE_BYTES = 16 << 20
"""A cursor follows over entries without outputs once it is this far behind, so that a restart is quick."""
UINT64 = (1 << 64) - 1


class CursorDisagreesError(Exception):
    """The log does not have the entry that the cursor names (rule 19)."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of one transaction. `message` begins with its SBE header and is zero-padded to a multiple of 8."""

    epoch: int
    sequence: int
    index: int
    message: bytes
    expires_ns: int
    """Wall clock after which it must not be sent, ns; 0: never."""
    entry: Entry
    """The entry that it came from, input included."""

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.epoch, self.sequence, self.index


class Gateway:
    """Gateway `name` of the instance in directory `instance`.

    `messages` are the names of the output messages that it takes; without, what the configuration binds to its name,
    or all. `durable` makes an acknowledgement wait for the disk; by default it does when the instance's durability is
    `disk`. `on_expired` is called with each output that expired before it could be handed out. `on_silence` is called,
    from `poll` and whatever waits with it, with the seconds for which the leader has given no sign of life, once they
    are more than `silent_after`: to cancel what is working at the outside. A leader that is back can fall silent again.

    Raises `InstanceError`, `SegmentError` (no log: no engine ran since the host started), `CursorError` (damaged, or
    another process is this gateway) or `CursorDisagreesError`.
    """

    def __init__(
        self,
        instance: str | Path,
        name: str,
        messages: Iterable[str] | None = None,
        *,
        durable: bool | None = None,
        on_expired: Callable[[Output], None] | None = None,
        silent_after: float | None = None,
        on_silence: Callable[[float], None] | None = None,
    ) -> None:
        if (silent_after is None) != (on_silence is None) or (silent_after is not None and not silent_after > 0):
            raise ValueError(f"silent_after, positive seconds, and on_silence belong together: {silent_after=}")
        self.instance = open_instance(instance)
        self.name = name
        self.expired = 0
        """Outputs that expired before they could be handed out."""
        leader = self.instance.leader()
        self._durable = durable if durable is not None else leader is None or leader.durability != "memory"
        self._filter = _filter(self.instance, name, messages)
        self._on_expired = on_expired
        self._silent_after = silent_after
        self._on_silence = on_silence
        self._silence_told = False
        self._pending: deque[Output] = deque()
        self._handed = 0
        self._acknowledged = 0
        """Outputs handed out and acknowledged by this process; the cursor may run ahead only when they are equal."""
        self._last_handed: Output | None = None
        self._open = True
        self._resumed = False
        self._file = CursorFile(self.instance, name)
        try:
            cursor = self._file.cursor
            self._source = OutputSource(self.instance, cursor.position, name)
        except BaseException:
            self._file.close()
            raise
        try:
            self._resume(cursor)
        except BaseException:
            self.close()
            raise
        self._resumed = True

    def _resume(self, cursor: Cursor) -> None:
        """Compare the cursor's entry with the log's (rule 19) and go on behind what was acknowledged of it."""
        if cursor.sequence == 0:
            return
        entry, what = None, "log has released nothing there"
        try:
            entry = self._source.next_entry()
        except (LogError, JournalError, ValueError) as error:
            what = str(error)  # ValueError: after power loss in `memory` mode no entry need begin there
        if entry is not None:
            found = _cursor_of(entry, cursor.outputs)
            if found == cursor:
                self._take(entry, cursor.outputs)
                return
            what = f"log={_numbers(found)}"
        raise CursorDisagreesError(
            f"gateway {self.name!r} of {self.instance.directory} and the log disagree: "
            f"cursor={_numbers(cursor)} {what}; nothing was handed out"
        )

    def _take(self, entry: Entry, skip: int) -> None:
        """Queue the outputs of an entry that are meant for this gateway, but for the first `skip`."""
        for each in entry.outputs():
            if each.index < skip:
                continue
            output = Output(each.epoch, each.sequence, each.index, each.message, each.expires_ns, entry)
            if self._filter is None or self._filter.takes(each.message):
                self._pending.append(output)

    def poll(self) -> Output | None:
        """The next output, or None when none is released; never waits."""
        if self._silent_after is not None:
            self._watch_leader(self._silent_after)
        while True:
            while self._pending:
                output = self._pending.popleft()
                if output.expires_ns and time.time_ns() > output.expires_ns:
                    self._expire(output)
                    continue
                self._handed += 1
                self._last_handed = output
                return output
            entry = self._source.next_with_outputs()
            if entry is None:
                self._advance_cursor(CURSOR_ADVANCE_BYTES)
                return None
            self._take(entry, 0)

    def _expire(self, output: Output) -> None:
        self.expired += 1
        if self.expired & (self.expired - 1) == 0:  # a late gateway may have thousands to say
            epoch, sequence, index = output.identity
            where = {"epoch": epoch, "sequence": sequence, "index": index, "expired": self.expired}
            Speaker("gateway", self.instance).report("output_expired", gateway=self.name, **where)
        if self._on_expired is not None:
            self._on_expired(output)

    def _watch_leader(self, silent_after: float) -> None:
        """Tell `on_silence` once when the leader has become silent."""
        seconds = self.leader_silent_for_ns / 1e9
        silent = seconds > silent_after
        told, self._silence_told = self._silence_told, silent
        if silent and not told and self._on_silence is not None:
            self._on_silence(seconds)

    def wait(self, timeout: float | None = None) -> Output | None:
        """The next output, waiting at most `timeout` seconds (None: until `close`); None when there was none."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE_SECONDS
        while self._open:
            output = self.poll()
            if output is not None or (deadline is not None and time.monotonic() >= deadline):
                return output
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    def __iter__(self) -> Iterator[Output]:
        """Outputs as they are released, until `close`."""
        while (output := self.wait()) is not None:
            yield output

    def acknowledge(self, output: Output) -> None:
        """Say that `output`, and every one handed out before it, was handed to the outside: never again.

        Raises `CursorError` when that cannot be written down, on a full disk say: then it was not acknowledged.
        """
        self._file.write(_cursor_of(output.entry, output.index + 1), self._durable)
        if self._last_handed is not None and output.identity == self._last_handed.identity:
            self._acknowledged = self._handed

    def _advance_cursor(self, at_least: int) -> None:
        """Move the cursor over entries that had nothing for this gateway; only when all handed out is acknowledged."""
        entry = self._source.last_entry(self._file.cursor.position + at_least)
        if entry is None or self._pending or self._handed != self._acknowledged:
            return
        passed = _cursor_of(entry, len(entry.outputs()))
        if (passed.position, passed.outputs) > (self._file.cursor.position, self._file.cursor.outputs):
            self._file.write(passed, self._durable)

    @property
    def cursor(self) -> Cursor:
        """What is acknowledged."""
        return self._file.cursor

    @property
    def leader_silent_for_ns(self) -> int:
        """How long ago the leader gave its last sign of life, in ns: cancel what is working when that is too long."""
        # SYNC POINT: pairs with the leader's release of its heartbeat.
        beat = load_acquire(self._source.log.region, log_layout.HEARTBEAT_NS)
        return max(time.monotonic_ns() - beat, 0)

    def statistics(self) -> dict[str, Any]:
        """Where the gateway is, beside the log."""
        return {
            "name": self.name,
            "cursor": _numbers(self._file.cursor),
            "expired": self.expired,
            "pending": len(self._pending),
            "reading_files": self._source.reading_files,
            "times_lapped": self._source.times_lapped,
            "log": log_statistics(self._source.log),
        }

    def close(self) -> None:
        """Give the gateway up; another process may be it."""
        if self._open:
            self._open = False
            try:
                if self._resumed:
                    self._advance_cursor(1)
            finally:
                self._source.close()
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cursor_of(entry: Entry, outputs: int) -> Cursor:
    return Cursor(entry.position, entry.epoch, entry.sequence, f"{entry.digest & UINT64:016x}", outputs)


def _numbers(cursor: Cursor) -> str:
    return (
        f"(position={cursor.position} epoch={cursor.epoch} sequence={cursor.sequence} digest={cursor.digest} "
        f"outputs={cursor.outputs})"
    )


def _filter(instance: Instance, name: str, messages: Iterable[str] | None) -> MessageFilter | None:
    """What a gateway takes: the messages named by its caller, else those bound in the configuration; None is all."""
    leader = instance.leader()
    wanted = messages if messages is not None or leader is None else leader.gateways.get(name)
    if wanted is None:
        return None
    if leader is None or not leader.content_hash:
        raise InstanceError(f"messages cannot be told apart before an engine led the instance: {instance.directory}")
    return MessageFilter(PluginStore(instance.directory).load(leader.content_hash).schema, wanted)
