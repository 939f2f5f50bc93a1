"""A plugin made of a schema whose handler copies a message, part by part, into an output of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout, attribute_name
from statevec.engine.plugin.declare import snake_case

HEAD = '''"""Copies a message."""

from statevec import Plugin

echo = Plugin("echo", version="1.0.0", schema="echo.xml")


@echo.on("{message}")
def on_message(tx, message):
    made = tx.emit.{attribute}()
'''


def _fields(fields: tuple[FieldLayout, ...], source: str, target: str) -> list[str]:
    lines: list[str] = []
    for each in fields:
        if each.composite is not None:
            lines += _fields(each.composite.fields, f"{source}.{each.attribute}", f"{target}.{each.attribute}")
        elif each.presence != "constant":
            lines.append(f"{target}.{each.attribute} = {source}.{each.attribute}")
    return lines


def copy_lines(level: MessageLayout | GroupLayout, source: str, target: str, depth: int = 0) -> list[str]:
    """The lines that copy a level; the members of each group in a loop of its own."""
    lines = _fields(level.fields, source, target)
    for number, group in enumerate(level.groups):
        name, entry, made = attribute_name(group.name), f"entry_{depth}_{number}", f"made_{depth}_{number}"
        body = [f"{made} = {target}.{name}.append()", *copy_lines(group, entry, made, depth + 1)]
        lines += [f"for {entry} in {source}.{name}:", *(f"    {line}" for line in body)]
    for data in level.data:
        lines.append(f"{target}.{attribute_name(data.name)} = {source}.{attribute_name(data.name)}")
    return lines


def write_echo(directory: Path, schema_files: dict[str, bytes], message: MessageLayout) -> Path:
    """The plugin in `directory`, which is made; `schema_files` has echo.xml and what it includes."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in schema_files.items():
        (directory / name).write_bytes(content)
    head = HEAD.format(message=message.name, attribute=snake_case(message.name))
    lines = copy_lines(message, "message", "made") or ["pass"]
    (directory / "echo.py").write_text(head + "".join(f"    {line}\n" for line in lines))
    return directory


def echoed(simulation: Any, content: bytes) -> bytes:
    """What the handler made of a message, without the padding of its frame."""
    entry = simulation.send_bytes(content)
    assert entry.committed, entry.reason
    made: bytes = entry.outputs[0].message
    rest = made[len(content) :]
    assert len(rest) < 8 and not any(rest)
    return made[: len(content)]
