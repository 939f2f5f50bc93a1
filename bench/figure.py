"""A figure: our samples beside the peers', taken in alternating rounds, and what is said about them.

    Comparison(name, unit, better)
        ours      [sample per round]
        peers     {name: [sample per round]}, or {name: "why it is not there"}
    ratio of a round = how many times better we are than the peer in that round; reported as median, lowest, highest

A ratio means something on a noisy machine, an absolute figure does not: an absolute target stands only where there is
no peer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

Sampler = Callable[[], float]
SeriesSampler = Callable[[], Sequence[float]]


@dataclass
class Comparison:
    """One figure. `better` says whether more or less is good; `target` is text, `met` is decided by the measurement."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    ours: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    target: str = ""
    met: bool | None = None
    excludes: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def ratios(self, peer: str) -> list[float]:
        """Round by round, how many times better we are than `peer`."""
        pairs = zip(self.ours, self.peers[peer], strict=True)
        return [ours / theirs if self.better == "higher" else theirs / ours for ours, theirs in pairs]

    def ratio(self, peer: str) -> float:
        """The median of `ratios(peer)`."""
        return median(self.ratios(peer))

    @property
    def middle(self) -> float:
        """The median of our samples."""
        return median(self.ours)

    def decide(self, least_ratio: Mapping[str, float]) -> Comparison:
        """Set `met`: the median ratio to each named peer reaches its least; None while one of them is not there."""
        reached = [self.ratio(peer) >= least for peer, least in least_ratio.items() if peer in self.peers]
        self.met = all(reached) if len(reached) == len(least_ratio) or not all(reached) else None
        return self

    def as_dict(self) -> dict[str, Any]:
        """For the results file."""
        ratios = {
            peer: {"median": self.ratio(peer), "lowest": min(self.ratios(peer)), "highest": max(self.ratios(peer))}
            for peer in self.peers
        }
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "median": self.middle,
            "samples": self.ours,
            "peers": self.peers,
            "ratios": ratios,
            "missing": self.missing,
            "target": self.target,
            "met": self.met,
            "excludes": self.excludes,
            "details": self.details,
        }


def alternate_all(
    comparisons: Sequence[Comparison], ours: SeriesSampler, peers: Mapping[str, SeriesSampler], rounds: int
) -> None:
    """Take `rounds` samples of us and of each peer in turn; a sampler gives one value for each comparison.

    A peer that raises is not there, and the reason is kept.
    """
    present = dict(peers)
    for _ in range(rounds):
        for comparison, value in zip(comparisons, ours(), strict=True):
            comparison.ours.append(value)
        for name, sample in list(present.items()):
            try:
                values = sample()
            except Exception as error:  # whatever keeps a peer from running is the reader's business, not ours
                del present[name]
                for comparison in comparisons:
                    comparison.peers.pop(name, None)
                    comparison.missing[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                continue
            for comparison, value in zip(comparisons, values, strict=True):
                comparison.peers.setdefault(name, []).append(value)


def alternate(comparison: Comparison, ours: Sampler, peers: Mapping[str, Sampler], rounds: int) -> Comparison:
    """`alternate_all` for one comparison; returns it."""

    def series(sample: Sampler) -> SeriesSampler:
        return lambda: [sample()]

    alternate_all([comparison], series(ours), {name: series(sample) for name, sample in peers.items()}, rounds)
    return comparison
