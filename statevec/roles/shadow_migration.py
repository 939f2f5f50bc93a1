"""Trying the migration that a cutover to a candidate would run, on a copy of the live state: there, and back again.

Invariants
    The state that is migrated is only read; what comes out is thrown away (or becomes an independent candidate's own).
    That rollback is possible means: the way back was planned and ran, on the state that came out.

Private memory; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.engine.execution import Execution
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.engine.plugin.migration import MigrationError, MigrationPlan, plan_migration
from statevec.ipc.faults import outcome_name
from statevec.ipc.memory import call_dispatch
from statevec.state.transaction_layout import DISPATCH_OK


@dataclass(frozen=True)
class MigrationCheck:
    """What came of it. `identity` is empty where no migration is needed, and where none is possible."""

    identity: str = ""
    changes: tuple[str, ...] = ()
    problem: str = ""
    """Why a cutover would fail, empty when it would not."""
    rollback_problem: str = ""
    """Why the way back would fail, empty when it would not."""


class TriedMigration:
    """The ways between a deciding version and a candidate, planned and compiled once; `check` tries them."""

    def __init__(self, decider: LoadedPlugin, candidate: LoadedPlugin, tier: Tier) -> None:
        self._versions = (decider, candidate)
        self._tier: Tier = tier
        self._there, self._problem = _plan(decider, candidate)
        self._back, self._rollback_problem = _plan(candidate, decider)
        needed = [plan for plan in (self._there, self._back) if plan is not None and plan.needed]
        self._functions = {plan.identity: plan.function(tier) for plan in needed}

    def check(self, state: Execution) -> MigrationCheck:
        """Try both ways on a state of the deciding version."""
        if self._there is None:
            return MigrationCheck(problem=self._problem)
        if not self._there.needed:
            return MigrationCheck()
        tried = self._empty(1)
        problem = self._run(self._there, state, tried)
        rollback_problem = self._rollback_problem
        if not problem and self._back is not None:
            rollback_problem = self._run(self._back, tried, self._empty(0))
        return MigrationCheck(self._there.identity, self._there.changes, problem, rollback_problem)

    def move(self, state: Execution, target: Execution) -> str:
        """Give `target`, an execution of the candidate, the state of the deciding version; why not, else empty."""
        if self._there is None:
            return self._problem
        if self._there.needed:
            return self._run(self._there, state, target)
        target.arena.copy_from(0, state.arena, 0, state.arena.size)
        return ""

    def _empty(self, side: int) -> Execution:
        plugin = self._versions[side]
        return Execution(plugin.table_specs, plugin.dispatch("interpreted"))

    def _run(self, plan: MigrationPlan, state: Execution, target: Execution) -> str:
        """Fill the arena of `target` from that of `state`; why it failed, empty when it did not."""
        target.layout.format(target.arena)
        answer = call_dispatch(self._functions[plan.identity].address, state.tx.address, target.tx.address, 0)
        return "" if answer == DISPATCH_OK else f"migration ends with {outcome_name(answer)}"


def _plan(old: LoadedPlugin, new: LoadedPlugin) -> tuple[MigrationPlan | None, str]:
    try:
        return plan_migration(old, new), ""
    except MigrationError as error:
        return None, str(error)
