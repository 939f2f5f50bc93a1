"""What follows from one deciding version and the candidate together: how they are compared, and how a cutover would go.

Made anew when another version decides; the pairs of ids go on.

Private memory; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.roles.shadow_compare import Comparison
from statevec.roles.shadow_ids import IdPairs
from statevec.roles.shadow_migration import TriedMigration
from statevec.roles.shadow_plan import Plan
from statevec.roles.shadow_rules import Rule
from statevec.state.arena import ArenaLayout


class Pairing:
    """`counters` gives the id counters of both versions where each has its own, None in lockstep."""

    def __init__(
        self,
        decider: LoadedPlugin,
        candidate: LoadedPlugin,
        rules: Sequence[Rule],
        counters: Callable[[], tuple[int, int]] | None,
        ids: IdPairs,
        tier: Tier,
    ) -> None:
        self.decider = decider
        self.comparison = Comparison(decider, candidate, ids, counters)
        self.plan = Plan(decider, candidate, rules, ids if counters is not None else None)
        self.migration = TriedMigration(decider, candidate, tier)


def same_layout(one: LoadedPlugin, other: LoadedPlugin) -> bool:
    """Whether the two versions lay their state out alike."""
    hashes = [ArenaLayout([*ENGINE_TABLES, *each.table_specs]).hash for each in (one, other)]
    return hashes[0] == hashes[1]
