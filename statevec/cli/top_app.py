"""The screen of `statevec top`: looks at an instance twice a second and shows what `top_text` makes of it.

Invariants
    Nothing of the instance is written or locked. A leader, a segment or a file that goes away while the screen is there
    is shown as missing; what is wrong with a look is shown instead of it, and the next look may be right again.

A crash leaves nothing but the terminal's state.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from statevec.cli.top_text import SORTS, TITLE, Section, sections
from statevec.engine.instance import Instance
from statevec.roles.live import Looker
from statevec.roles.live_rates import rate
from statevec.roles.live_reasons import Reasons
from statevec.roles.live_sample import Sample

LOOK_SECONDS = 0.5


class TopApp(App[None]):
    """One instance on the screen."""

    CSS = """
    #name { height: 1; background: $primary-background; text-style: bold; }
    VerticalScroll { scrollbar-size-vertical: 1; }
    #body { height: auto; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("p", "pause", "Pause"),
        Binding("s", "sort", "Sort rings"),
    ]

    def __init__(self, instance: Instance, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__()
        self._look_seconds = look_seconds
        self.animation_level = "none"
        self.paused = False
        self.sort = SORTS[0]
        self.looks = 0
        self._looker = Looker(instance)
        self._reasons = Reasons(instance)
        self._before: Sample | None = None
        self._after: Sample | None = None
        self._shown = Text()

    def compose(self) -> ComposeResult:
        """A line with the instance's name, all else below it, and the keys."""
        yield Static(Text(f"statevec top   {self._looker.instance.directory}"), id="name")
        with VerticalScroll():
            yield Static(id="body")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self._look()
        self.set_interval(self._look_seconds, self._look)

    def _look(self) -> None:
        if self.paused:
            return
        try:
            sample = self._looker.look()
        except OSError as error:
            self._put(Text(f"cannot look: {error}", "bold red"))
            return
        self.looks += 1
        self._before, self._after = self._after or sample, sample
        self._show()

    def _show(self) -> None:
        if self._before is None or self._after is None:
            return
        rates = rate(self._before, self._after)
        self._put(_joined(sections(self._after, rates, self._reasons, self.sort)))

    def _put(self, text: Text) -> None:
        if text != self._shown:
            self._shown = text
            self.query_one("#body", Static).update(text)

    def action_pause(self) -> None:
        """Look no more, or again."""
        self.paused = not self.paused
        self.query_one("#name", Static).update(
            Text(f"statevec top   {self._looker.instance.directory}{'   PAUSED' if self.paused else ''}")
        )

    def action_sort(self) -> None:
        """Sort the rings by the next of name, fill, rate."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self._show()

    def on_unmount(self) -> None:
        """Give the segments up."""
        self._looker.close()


def _joined(found: list[Section]) -> Text:
    lines: list[Text] = []
    for title, rows in found:
        if title and rows:
            lines.append(Text(title, TITLE))
        lines += rows
    joined = Text("\n").join(lines)
    joined.no_wrap = True
    joined.overflow = "ellipsis"
    return joined
