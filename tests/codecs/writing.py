"""A message written part by part with `Schema.writer`, from its values by name."""

from __future__ import annotations

from typing import Any


def write(writer: Any, layout: Any, values: dict[str, Any]) -> None:
    for field in layout.fields:
        if field.composite is not None and isinstance(values.get(field.name), dict):
            getattr(writer, field.name).fill(values[field.name])
        elif field.presence != "constant" and values.get(field.name) is not None:
            setattr(writer, field.name, values[field.name])
    for group in layout.groups:
        for entry in values.get(group.name, ()):
            write(getattr(writer, group.name).append(), group, entry)
    for data in layout.data:
        if data.name in values:
            setattr(writer, data.name, values[data.name])
