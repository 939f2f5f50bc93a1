"""The XML of a schema as a tree of `Element`s: includes resolved, names local, each with its file and line.

Invariants
    Element names are without namespace: schemas come with none or any of four. Attributes of a foreign namespace
    are left out. No entity is expanded, nothing is fetched: an include names a file relative to the one it stands in,
    by its path alone (links are not looked through), and its bytes come from where the caller reads them.
    A refusal is a `SchemaError` with file, line and rule.

The tree is read once, when a schema is loaded, and forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lxml import etree

from statevec.codecs.errors import SchemaError

XINCLUDE = "{http://www.w3.org/2001/XInclude}include"
MAX_INCLUDES = 100


@dataclass
class Element:
    """One element. `text` is its own text, stripped."""

    tag: str
    attributes: dict[str, str]
    text: str
    file: str
    line: int
    children: list[Element] = field(default_factory=list)

    def fail(self, rule: str) -> NoReturn:
        """Refuse the schema because of this element."""
        name = self.attributes.get("name")
        place = f"<{self.tag} name={name!r}>" if name else f"<{self.tag}>"
        raise SchemaError(f"{place} {rule}", self.file, self.line)

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def require(self, name: str) -> str:
        """The attribute, which must be there and not empty."""
        value = self.attributes.get(name, "").strip()
        if not value:
            self.fail(f"needs the attribute {name!r}")
        return value

    def integer(self, name: str, default: int | None = None, low: int = 0, high: int = (1 << 63) - 1) -> int:
        """An attribute as an integer within limits."""
        text = self.attributes.get(name)
        if text is None:
            if default is None:
                self.fail(f"needs the attribute {name!r}")
            return default
        try:
            value = int(text)
        except ValueError:
            self.fail(f"{name}={text!r} is not an integer")
        if not low <= value <= high:
            self.fail(f"{name}={value} is outside {low} to {high}")
        return value

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


def _document(content: bytes, file: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise SchemaError(f"not well-formed XML: {error.msg}", file, error.lineno or 0) from error


class _Reader:
    """Turns documents into elements and counts what they include."""

    def __init__(self, read: Callable[[Path], bytes]) -> None:
        self.read = read
        self.open_files: list[Path] = []
        self.included = 0

    def element(self, node: Any, file: str, directory: Path | None) -> Element:
        made = Element(
            etree.QName(node).localname,
            {name: value for name, value in node.attrib.items() if not name.startswith("{")},
            (node.text or "").strip(),
            file,
            node.sourceline or 0,
        )
        for child in node:
            if not isinstance(child.tag, str):
                continue  # a comment or a processing instruction
            if child.tag == XINCLUDE:
                made.children.append(self.include(child, file, directory))
            else:
                made.children.append(self.element(child, file, directory))
        return made

    def include(self, node: Any, file: str, directory: Path | None) -> Element:
        here = Element("include", dict(node.attrib), "", file, node.sourceline or 0)
        href = here.require("href")
        if directory is None:
            here.fail(f"href={href!r}: a schema that is not a file cannot include one")
        if "://" in href or href.startswith("/"):
            here.fail(f"href={href!r} is not a path relative to the schema")
        path = Path(os.path.abspath(directory / href))
        self.included += 1
        if path in self.open_files or self.included > MAX_INCLUDES:
            here.fail(f"href={href!r}: includes go in a circle, or there are more than {MAX_INCLUDES}")
        try:
            content = self.read(path)
        except OSError as error:
            here.fail(f"href={href!r} cannot be read: {error.strerror}")
        self.open_files.append(path)
        made = self.element(_document(content, str(path)), str(path), path.parent)
        self.open_files.pop()
        return made


def read_schema(
    content: bytes, file: str, directory: Path | None, read: Callable[[Path], bytes] = Path.read_bytes
) -> Element:
    """The root element of a schema; `directory` is where its includes are looked for, None refuses them.

    `read` gives the bytes of an included file, or raises OSError.
    """
    reader = _Reader(read)
    if directory is not None:
        reader.open_files.append(Path(os.path.abspath(directory / Path(file).name)))
    root = reader.element(_document(content, file), file, directory)
    if root.tag != "messageSchema":
        root.fail("is not <messageSchema>: the document is no SBE schema")
    return root
