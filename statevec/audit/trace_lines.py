"""`LineTracer`: follows the lines of one plugin through `sys.settrace` while a traced run lasts.

    Layout of a source: which lines are one statement, which are the head of a loop, where its body ends
    tracer.on(...)      what `sys.settrace` calls: one `Call` a function, one `Step` a line, turns of loops folded

Invariants
    Code of other files is not followed: it costs one call each time it is entered.
    Line numbers are those of the plugin's file; names beginning with two underscores are ours and are not shown.
    Who had set a trace function before gets it back.

Private to the run; a crash leaves nothing.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from statevec.audit.trace import FIRST_TURNS, Call, InvariantRun, Item, Loop, Step, Trace
from statevec.audit.trace_tables import Labels
from statevec.engine.plugin.interpreted_records import RecordView
from statevec.engine.plugin.interpreted_transaction import Transaction

PLAIN = (int, float, bytes, bool)


class SourceLayout:
    """Statements and loops of a module by line."""

    def __init__(self, tree: ast.Module) -> None:
        self.statements: dict[int, tuple[int, int]] = {}
        """Line → first and last line of the innermost statement, or of the head of a compound one, that has it."""
        self.loops: dict[int, int] = {}
        """First line of a loop → last line of its body."""
        self.names: dict[int, tuple[str, ...]] = {}
        """First line of a statement → the variables that it, or its head, assigns."""
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                self._take(node)

    def _take(self, node: ast.stmt) -> None:
        end = node.end_lineno or node.lineno
        body = getattr(node, "body", None)
        if body:
            end = max(node.lineno, body[0].lineno - 1)
        elif isinstance(node, ast.Match):
            end = max(node.lineno, node.cases[0].pattern.lineno - 1)
        for line in range(node.lineno, end + 1):
            known = self.statements.get(line)
            if known is None or end - node.lineno <= known[1] - known[0]:
                self.statements[line] = (node.lineno, end)
        names = tuple(_assigned(node))
        if names:
            self.names[node.lineno] = (*self.names.get(node.lineno, ()), *names)
        if isinstance(node, ast.For | ast.While):
            self.loops[node.lineno] = node.end_lineno or end

    def first_line(self, line: int) -> int:
        """First line of the statement that has `line`."""
        return self.statements.get(line, (line, line))[0]


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Names that a statement assigns, those of statements inside it left out."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(node))
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        if not isinstance(each, ast.stmt):
            waiting.extend(ast.iter_child_nodes(each))


@dataclass(slots=True)
class _Frame:
    """A function that runs: its call, where its next step goes, and its variables as they were last seen."""

    call: Call
    caller: Step | None
    values: dict[str, Any]
    loops: list[Loop] = field(default_factory=list)
    step: Step | None = None

    @property
    def items(self) -> list[Item]:
        return self.loops[-1].turns[-1] if self.loops else self.call.items


class LineTracer:
    """See the module's docstring. `invariants` are the names of functions that are asked after the handler."""

    def __init__(self, path: str, layout: SourceLayout, labels: Labels, invariants: frozenset[str]) -> None:
        self._path = path
        self._layout = layout
        self._labels = labels
        self._invariants = invariants
        self._frames: list[_Frame] = []
        self._note: Callable[[RecordView], Any] = _ignore
        self.trace = Trace()

    @contextmanager
    def tracing(self, trace: Trace, note: Callable[[RecordView], Any]) -> Iterator[None]:
        """Follow what runs in this thread meanwhile, and tell `trace`; `note` takes records that invariants get."""
        self.trace, self._note, self._frames = trace, note, []
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if code.co_filename != self._path or event != "call":
            return None
        trace = self.trace
        if not self._frames and code.co_name in self._invariants:
            trace.by = code.co_name
            for value in frame.f_locals.values():
                if isinstance(value, RecordView):
                    self._note(value)
        values = dict(frame.f_locals)
        call = Call(code.co_name, code.co_firstlineno, self._shown(values))
        caller = self._frames[-1].step if self._frames else None
        (trace.roots if caller is None else caller.calls).append(call)
        self._frames.append(_Frame(call, caller, values))
        return self._inside

    def _shown(self, values: dict[str, Any]) -> dict[str, Any]:
        label = self._labels.of
        return {
            name: label(value)
            for name, value in values.items()
            if not name.startswith("__") and not isinstance(value, Transaction)
        }

    def _inside(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        running = self._frames[-1]
        if event == "line":
            self._line(running, frame)
        elif event == "return":
            self._see_changes(running, frame)
            running.call.returned = self._labels.of(argument)
            self._leave(running, argument)
        elif event == "exception":
            kind = argument[0]
            if running.step is not None:
                running.step.raised = kind.__name__
            running.call.raised = kind.__name__
            self.trace.failed_at = self.trace.failed_at or self._layout.first_line(frame.f_lineno)
        return self._inside

    def _see_changes(self, running: _Frame, frame: FrameType) -> None:
        """What the step that ends changed in the function's variables."""
        step = running.step
        names = self._layout.names.get(step.line, ()) if step is not None else ()
        if step is None or not names:
            return
        now, before = frame.f_locals, running.values
        for name in names:
            value = now.get(name, _NEVER)
            if value is not _NEVER and not _same(before.get(name, _NEVER), value):
                before[name] = value
                step.changes[name] = self._labels.of(value)

    def _line(self, running: _Frame, frame: FrameType) -> None:
        line = self._layout.first_line(frame.f_lineno)
        step = running.step
        if step is not None and step.line == line and frame.f_lineno != line:
            return  # the same statement goes on in its next line
        if step is not None and step.line == line and self._goes_back(line):
            return
        self._see_changes(running, frame)
        running.call.raised = ""
        loops = running.loops
        while loops and not loops[-1].line <= line <= loops[-1].end:
            _close(loops.pop())
        if line in self._layout.loops:
            self._turn(running, line)
        made = Step(line)
        running.items.append(made)
        running.step = self.trace.step = made
        self.trace.line = line

    def _goes_back(self, line: int) -> bool:
        """Whether a statement of several lines comes back to its first one; a loop's head is a new turn."""
        first, last = self._layout.statements.get(line, (line, line))
        return last > first and line not in self._layout.loops

    def _turn(self, running: _Frame, line: int) -> None:
        loops = running.loops
        if not loops or loops[-1].line != line:
            loop = Loop(line, self._layout.loops[line])
            running.items.append(loop)
            loops.append(loop)
        loop = loops[-1]
        loop.count += 1
        if len(loop.turns) > FIRST_TURNS + 1:
            del loop.turns[FIRST_TURNS]
        loop.turns.append([])

    def _leave(self, running: _Frame, returned: Any) -> None:
        trace = self.trace
        while running.loops:
            _close(running.loops.pop())
        self._frames.pop()
        if self._frames:
            trace.step = running.caller
            trace.line = running.caller.line if running.caller is not None else 0
        elif trace.by:
            subject = next(iter(running.call.arguments.values()), "")
            trace.invariants.append(InvariantRun(trace.by, str(subject), returned is True))
            trace.by = ""


_NEVER = object()


def _ignore(record: RecordView) -> None:
    """No run is traced."""


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    return type(before) is type(now) and isinstance(now, PLAIN) and bool(before == now)


def _close(loop: Loop) -> None:
    """The last look at the head, which found the loop's end, is no turn; of those behind the first one turn stays."""
    if _is_end(loop, loop.turns[-1]):
        loop.turns.pop()
        loop.count -= 1
    if len(loop.turns) > FIRST_TURNS + 1:
        del loop.turns[FIRST_TURNS:-1]


def _is_end(loop: Loop, turn: list[Item]) -> bool:
    if len(turn) != 1 or not isinstance(turn[0], Step):
        return False
    return turn[0].line == loop.line and not turn[0].changes and not turn[0].raised
