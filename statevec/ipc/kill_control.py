"""`KillControl`: telling processes of the test build where to die (`kill_points`), and seeing that they did.

    control = KillControl.create(path)            # before they start, with STATEVEC_KILL_POINTS=path
    control.arm(kill_points.AFTER_COPY, process, passings=7)
    control.died                                  # None, then who died where and when

Who writes and who reads: the test alone arms; processes at the armed point take the countdown and say that they died.
A crash of the test leaves the file, in which nothing is armed twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statevec.ipc import kill_points as layout
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release


@dataclass(frozen=True)
class Death:
    """A process that died at a point."""

    point: int
    process: int
    monotonic_ns: int


class KillControl:
    """A control file of one test."""

    def __init__(self, page: Region) -> None:
        self._page = page

    @classmethod
    def create(cls, path: Path) -> KillControl:
        """Make the file; nothing is armed."""
        with open(path, "xb") as file:
            file.write(bytes(layout.CONTROL_SIZE))
        return cls(layout.map_control(path))

    def arm(self, point: int, process: int = 0, passings: int = 1) -> None:
        """Let that process, or whichever comes first, die when `point` is passed for the `passings`-th time."""
        self.disarm()
        self._page.store_i64(layout.ARMED_PROCESS, process)
        self._page.store_i64(layout.COUNTDOWN, passings)
        store_release(self._page, layout.ARMED_POINT, point)  # SYNC POINT: pairs with the acquire in `_pass`

    def disarm(self) -> None:
        """Let nobody die any more; forget who did."""
        store_release(self._page, layout.ARMED_POINT, 0)  # SYNC POINT: pairs with the acquire in `_pass`
        store_release(self._page, layout.DIED_POINT, 0)  # SYNC POINT: pairs with the acquire in `died`

    @property
    def died(self) -> Death | None:
        """Who died since the last arming; None as long as nobody did."""
        point = load_acquire(self._page, layout.DIED_POINT)  # SYNC POINT: pairs with the release in `_pass`
        if point == 0:
            return None
        return Death(point, self._page.load_i64(layout.DIED_PROCESS), self._page.load_i64(layout.DIED_NS))
