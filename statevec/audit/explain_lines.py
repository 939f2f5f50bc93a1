"""The lines of a traced run as plain values, with their source text: what `explain` prints and JSON has.

    call   {"function", "line", "arguments", "returned", "raised", "items": [step or loop, …]}
    step   {"line", "text", "variables": {name: value}, "assigned": [[target, value], …], "raised", "calls": [call, …]}
    loop   {"line", "text", "turns": count, "shown": [[step or loop, …], …]}    the first turns, and the last one

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from statevec.audit.trace import Call, Item, Loop, Step
from statevec.audit.trace_lines import SourceLayout
from statevec.engine.plugin.loader import LoadedPlugin


class SourceLines:
    """Text of a plugin's statements by the line where they begin."""

    def __init__(self, plugin: LoadedPlugin) -> None:
        self._lines = plugin.source.read(plugin.path).decode().splitlines()
        self._layout = SourceLayout(plugin.source.tree)
        self._texts: dict[int, str] = {}
        self.file = plugin.path.name

    def text(self, line: int) -> str:
        """The statement, or the head of the compound one, in one line."""
        if line not in self._texts:
            first, last = self._layout.statements.get(line, (line, line))
            self._texts[line] = " ".join(each.strip() for each in self._lines[first - 1 : last])
        return self._texts[line]


def call_to_dict(call: Call, source: SourceLines) -> dict[str, Any]:
    """A function that ran; see the module's docstring."""
    return {
        "function": call.function,
        "line": call.line,
        "arguments": call.arguments,
        "returned": call.returned,
        "raised": call.raised,
        "items": [_item(each, source) for each in call.items],
    }


def _item(item: Item, source: SourceLines) -> dict[str, Any]:
    if isinstance(item, Loop):
        return {
            "line": item.line,
            "text": source.text(item.line),
            "turns": item.count,
            "shown": [[_item(each, source) for each in turn] for turn in item.turns],
        }
    return {
        "line": item.line,
        "text": source.text(item.line),
        "variables": item.changes,
        "assigned": [list(each) for each in item.stores],
        "raised": item.raised,
        "calls": [call_to_dict(each, source) for each in item.calls],
    }


def steps_of(calls: list[Call]) -> Iterator[Step]:
    """All steps that were kept, in the order in which they ran."""
    for call in calls:
        yield from _steps(call.items)


def _steps(items: list[Item]) -> Iterator[Step]:
    for item in items:
        if isinstance(item, Loop):
            for turn in item.turns:
                yield from _steps(turn)
        else:
            yield item
            yield from steps_of(item.calls)
