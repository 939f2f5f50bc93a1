"""Operators' commands in the engine process: taken from the admin ring by the main thread, entered by the loop.

    ring ─► judge (store, shadow's report, plan) ─► ADMIN entry with the answer ─► cutover posted ─► CUTOVER entry
                                                                                   at its sequence
                                                        ring released ───────────► RING_ATTACH entry

Invariants
    Every command becomes one ADMIN entry, accepted (COMMITTED) or REFUSED with the reason; only then its ring moves on.
    At most one cutover is pending; a second one is refused while it is. While a ring is released, no command is taken.
    A cutover that was accepted and could not happen any more is said in an ADMIN entry of the engine itself (source 0).
    The way back is prepared before a version on probation decides; the loop takes it by itself.
    Loading and linking happen here, while the loop runs.

A crash between the ADMIN entry and the cutover: the next leader finds the order in the log and posts it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from statevec.engine import loop_layout as layout
from statevec.engine.config import Config
from statevec.engine.cutover import MISSED
from statevec.engine.engine_state import CLOCK_ROW_AT, PROBATION_LEFT
from statevec.engine.execution import Execution
from statevec.engine.instance import Instance, InstanceError
from statevec.engine.plugin.compatibility import unreadable_messages
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.store import PluginStore, StoreError
from statevec.engine.versions import Candidate, Decider, VersionHistory
from statevec.ipc.faults import COMMITTED, outcome_name
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.segment import SegmentError
from statevec.journal.admin_layout import (
    BY_OPERATOR,
    BY_PROBATION,
    BY_ROLLBACK,
    CUT_OVER,
    HAND_OVER,
    NO_PROBATION,
    REFUSED,
    RELEASE_RING,
    ROLL_BACK,
    AdminCommand,
    Probation,
)
from statevec.journal.entry_layout import ADMIN, CUTOVER, RING_ATTACH
from statevec.roles.admin_ring import AdminRing, Received
from statevec.roles.cutover_rules import RefusedError, check_sequence, check_shadow, find_successor
from statevec.roles.engine_rings import EngineRing
from statevec.roles.events import report
from statevec.roles.ring_release import RingRelease


class Mailbox:
    """One request of the loop block (`loop_layout`)."""

    def __init__(self, execution: Execution, offset: int) -> None:
        self._block = execution.block.slice(offset, layout.REQUEST_SIZE)
        self._message: Region | None = None

    def post(self, kind: int, message: bytes, values: dict[int, int], state: int = layout.POSTED) -> None:
        """Ask for an entry of `kind` with that input; `values` are further fields of the request."""
        self._message = Region.of(bytearray(message))
        self._block.fill_zero(0, layout.REQUEST_SIZE)
        self._block.store_i64(layout.REQUEST_KIND, kind)
        self._block.store_i64(layout.REQUEST_MESSAGE, self._message.address)
        self._block.store_i64(layout.REQUEST_LENGTH, self._message.size)
        for offset, value in values.items():
            self._block.store_i64(offset, value)
        # SYNC POINT: pairs with the loop's acquire: the request is there before it.
        store_release(self._block, layout.REQUEST_STATE, state)

    @property
    def is_free(self) -> bool:
        """Whether nothing is asked."""
        return self._message is None

    def take_result(self) -> tuple[int, int] | None:
        """Sequence and outcome of the entry once it is served; then the mailbox is free. None before."""
        # SYNC POINT: pairs with the loop's release of DONE.
        if self._message is None or load_acquire(self._block, layout.REQUEST_STATE) != layout.DONE:
            return None
        self._message = None
        load = self._block.load_i64
        return load(layout.RESULT_SEQUENCE), load(layout.RESULT_OUTCOME)


class AdminDesk:
    """What operators ordered of one leader; call `turn` often. `plugin` is the one that decides."""

    def __init__(
        self,
        instance: Instance,
        config: Config,
        execution: Execution,
        plugin: LoadedPlugin,
        history: VersionHistory,
        ring: EngineRing,
        rings: Sequence[EngineRing],
        left: AdminCommand | None,
    ) -> None:
        self.plugin = plugin
        self._instance = instance
        self._config = config
        self._execution = execution
        self._history = history
        self._store = PluginStore(instance.directory)
        self._ring = AdminRing(ring)
        self._rings = {each.name: each for each in rings}
        self._commands = Mailbox(execution, layout.ADMIN_REQUEST)
        self._cutover = Mailbox(execution, layout.CUTOVER_REQUEST)
        self._fallback = Mailbox(execution, layout.FALLBACK_REQUEST)
        self._received: Received | None = None
        self._to_say: list[AdminCommand] = []
        self.handed_over = False
        """Whether an operator's command to give the lead up is in the log."""
        self._hands_over = False
        self._release: tuple[AdminCommand, RingRelease] | None = None
        self._accepted: tuple[AdminCommand, Candidate] | None = None
        self._pending: tuple[AdminCommand, Candidate] | None = None
        self._way_back: Candidate | None = None
        if self._on_probation:
            self._prepare_fallback(self.plugin)
        if left is not None:
            self._take_up(left)

    def turn(self) -> bool:
        """Go on with what is under way; True when another version has begun to decide."""
        decided = self._finish_cutover() or self._finish_fallback()
        self._finish_command()
        if self._commands.is_free and self._to_say:
            self._post_command(self._to_say.pop(0), REFUSED, None)
        if self._release is not None:
            self._go_on_releasing(*self._release)
        elif self._commands.is_free and self._received is None:
            self._received = self._ring.take()
            if self._received is not None:
                self._answer(self._received)
        return decided

    def _take_up(self, command: AdminCommand) -> None:
        """Post the cutover that the last leader accepted and did not carry out."""
        try:
            check_sequence(command.at_sequence, self._execution.sequence)
            self._post_cutover(command, self._candidate(command))
        except (RefusedError, StoreError, PluginError) as error:
            self._give_up(command, f"not carried out by the last leader, and now: {error}")

    def _answer(self, received: Received) -> None:
        """Judge a command and post its entry."""
        try:
            command = AdminCommand.decode(received.message)
        except ValueError as error:
            command = AdminCommand(0, 0, False, "", "", "", str(error))
            self._post_command(command, REFUSED, received)
            return
        try:
            if command.command == HAND_OVER:
                answer = f"accepted: process {find_successor(self._instance).pid} stands by"
                self._hands_over = True
                self._post_command(replace(command, answer=answer), COMMITTED, received)
                return
            if command.command == RELEASE_RING:
                self._release = (command, self._judge_release(command.subject))
                answer = f"accepted: ring {command.subject!r} is made anew; its producer goes on after the log"
                self._post_command(replace(command, answer=answer), COMMITTED, received)
                return
            candidate = self._judge(command)
        except (RefusedError, StoreError, PluginError, InstanceError) as error:
            self._post_command(replace(command, answer=str(error)), REFUSED, received)
            return
        when = f"has sequence {command.at_sequence}" if command.at_sequence else "is the next entry"
        spec = f"{candidate.loaded.name}@{candidate.loaded.version}"
        self._accepted = (command, candidate)
        self._post_command(replace(command, answer=f"accepted: the cutover to {spec} {when}"), COMMITTED, received)

    def _judge(self, command: AdminCommand) -> Candidate:
        if self._pending is not None:
            at, hash_ = self._pending[0].at_sequence, self._pending[0].subject
            raise RefusedError(f"another cutover is pending: to {hash_[:12]} at sequence {at}")
        if command.command not in (CUT_OVER, ROLL_BACK):
            raise RefusedError(f"unknown command: {command.command}")
        check_sequence(command.at_sequence, self._execution.sequence)
        candidate = self._candidate(command)
        if candidate.loaded.content_hash == self.plugin.content_hash:
            raise RefusedError(f"{self.plugin.name}@{self.plugin.version} decides already")
        unreadable = unreadable_messages(self.plugin, candidate.loaded)
        if unreadable:
            raise RefusedError(f"it cannot read messages in flight: {'; '.join(unreadable)}")
        if command.command == CUT_OVER and not command.forced:
            check_shadow(self._instance, self._config.cutover, self.plugin, candidate.loaded.content_hash)
        return candidate

    def _judge_release(self, name: str) -> RingRelease:
        ring = self._rings.get(name)
        if ring is None:
            raise RefusedError(f"no such ring: {name!r}; there are {', '.join(self._rings)}")
        return RingRelease(self._instance, ring, self._config.instance.group)

    def _go_on_releasing(self, command: AdminCommand, release: RingRelease) -> None:
        """Once the order's entry is there: make the ring, then its entry, then let the loop have it."""
        if not self._commands.is_free or self._received is not None or not release.is_ready:
            return
        if not release.is_made:
            try:
                self._commands.post(RING_ATTACH, release.make(), {layout.REQUEST_SOURCE: release.ring.source})
            except (RefusedError, SegmentError, OSError) as error:
                self._give_up(command, f"ring {release.ring.name!r} was not made: {error}")
                self._release = None
            return
        release.open()
        report("ring_released", ring=release.ring.name)
        self._release = None

    def _candidate(self, command: AdminCommand) -> Candidate:
        content_hash = command.subject
        if command.command == ROLL_BACK:
            current = self._history.current
            before = self._history.before(current) if current else None
            if before is None:
                raise RefusedError("nothing to roll back to: no other version ever decided")
            content_hash = before.content_hash
        loaded = self._store.load(content_hash)
        if loaded.name != self.plugin.name:
            raise RefusedError(f"{loaded.name} is another plugin than {self.plugin.name}, which decides")
        number = self._history.number(content_hash)
        return Candidate(self._execution, self.plugin, loaded, self._config.engine.tier, number)

    def _post_command(self, command: AdminCommand, outcome: int, received: Received | None) -> None:
        values = {layout.REQUEST_OUTCOME: outcome}
        if received is not None:
            values[layout.REQUEST_SOURCE] = self._ring.source
            values[layout.REQUEST_SOURCE_SEQUENCE] = received.sequence
            values[layout.REQUEST_SOURCE_POSITION] = received.position
        self._commands.post(ADMIN, command.encode(), values)
        report("admin", accepted=outcome == COMMITTED, who=command.who, why=command.why, answer=command.answer)

    def _finish_command(self) -> None:
        if self._commands.take_result() is None:
            return
        if self._received is not None:
            self._ring.done(self._received)
            self._received = None
        self.handed_over = self._hands_over
        if self._accepted is not None:
            self._post_cutover(*self._accepted)
            self._accepted = None

    def _post_cutover(self, command: AdminCommand, candidate: Candidate) -> None:
        self._pending = (command, candidate)
        rolls_back = command.command == ROLL_BACK
        limits = self._config.probation
        most = -1 if limits.max_rejections is None else limits.max_rejections
        probation = Probation(limits.entries, limits.max_faults, most, limits.max_violations)
        if not rolls_back and probation.entries:
            self._prepare_fallback(candidate.loaded, self.plugin)
            block = self._execution.block
            block.store_i64(layout.SLOW_TRANSACTIONS, 0)
            block.store_i64(layout.MAX_SLOW, limits.max_slow)
            block.store_i64(layout.SLOW_NS, limits.slow_after or 0)
        said = candidate.describe(
            BY_ROLLBACK if rolls_back else BY_OPERATOR, self._number, NO_PROBATION if rolls_back else probation
        )
        self._cutover.post(CUTOVER, said.encode(), {layout.REQUEST_AT: command.at_sequence, **_next(candidate)})

    @property
    def _number(self) -> int:
        """Of the version that decides."""
        current = self._history.current
        return current.logic_version if current else 0

    @property
    def _on_probation(self) -> bool:
        arena = self._execution.arena
        return arena.load_i64(arena.load_i64(CLOCK_ROW_AT) + PROBATION_LEFT) > 0

    def _prepare_fallback(self, leaves: LoadedPlugin, returns: LoadedPlugin | None = None) -> None:
        """Prepare the cutover from `leaves` back to `returns` (by default who decided before), for the loop to take."""
        current = self._history.current
        before = self._history.before(current) if current and returns is None else None
        if before is not None:
            returns = self._store.load(before.content_hash)
        if returns is None:
            return
        number = self._history.number(returns.content_hash)
        self._way_back = Candidate(self._execution, leaves, returns, self._config.engine.tier, number)
        said = self._way_back.describe(BY_PROBATION, self._history.number(leaves.content_hash))
        self._fallback.post(CUTOVER, said.encode(), _next(self._way_back), layout.PREPARED)

    def _finish_fallback(self) -> bool:
        """Take in that the loop cut back by itself."""
        result = self._fallback.take_result()
        if result is None or self._way_back is None:
            return False
        sequence, outcome = result
        left = self.plugin
        report(
            "probation_failed",
            sequence=sequence,
            left=f"{left.name}@{left.version}",
            outcome=outcome_name(outcome),
            decides=f"{self._way_back.loaded.name}@{self._way_back.loaded.version}" if outcome == COMMITTED else None,
        )
        if outcome == COMMITTED:
            self._decides(self._way_back)
        return outcome == COMMITTED

    def _decides(self, candidate: Candidate) -> None:
        """Follow a switch that the loop made."""
        candidate.adopt(self._execution)
        self.plugin = loaded = candidate.loaded
        self._history.decide(Decider(candidate.logic_version, loaded.name, loaded.version, loaded.content_hash))

    def _finish_cutover(self) -> bool:
        result = self._cutover.take_result()
        if result is None or self._pending is None:
            return False
        command, candidate = self._pending
        self._pending = None
        sequence, outcome = result
        loaded = candidate.loaded
        if outcome == COMMITTED:
            self._decides(candidate)
            report("cutover", sequence=sequence, name=loaded.name, version=loaded.version, hash=loaded.content_hash)
            return True
        if outcome == MISSED:
            self._give_up(command, f"sequence {command.at_sequence} went by before the cutover could be posted")
        else:
            report("cutover_failed", sequence=sequence, outcome=outcome_name(outcome), version=loaded.version)
        return False

    def _give_up(self, command: AdminCommand, why: str) -> None:
        """Say in the log that what was accepted will not happen."""
        self._to_say.append(replace(command, answer=why))


def _next(candidate: Candidate) -> dict[int, int]:
    """The fields of a request that let a candidate decide."""
    return {
        layout.NEXT_DISPATCH: candidate.dispatch.address,
        layout.NEXT_LOGIC_VERSION: candidate.logic_version,
        layout.NEXT_TRANSACTION: candidate.tx_address,
        layout.NEXT_MIGRATE: candidate.migrate_address,
    }
