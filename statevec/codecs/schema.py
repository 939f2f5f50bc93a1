"""`Schema`: an SBE schema, its messages and types, and the way from bytes to values and back.

    schema = Schema.load("market.xml")
    message = schema.decode(buffer)            # finds the message by the header, gives a view, copies nothing
    message.price, message.side, message.to_dict()
    data = schema.encode("Quote", {"price": 5, "side": "BUY"})

Invariants
    A schema is immutable. Equal XML, spelled in whatever way, gives an equal `hash`: it covers ids, layouts, names of
    types and values, but not descriptions.
    Whatever is wrong ends in a subclass of `SbeError`, and no byte outside the given buffer is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from statevec.codecs.errors import (
    BlockLengthError,
    NoSpaceError,
    SchemaError,
    TruncatedError,
    UnknownMessageError,
    UnknownTemplateError,
    WrongSchemaError,
)
from statevec.codecs.evolution import acting_version
from statevec.codecs.flyweight import as_bytes
from statevec.codecs.frame_check import check_frame
from statevec.codecs.header import HeaderCodec
from statevec.codecs.json_form import from_json
from statevec.codecs.layout import (
    ByteOrder,
    Choices,
    EnumLayout,
    FieldLayout,
    HeaderLayout,
    MessageLayout,
    layout_hash,
    minimum_block_length,
)
from statevec.codecs.message_encoder import LevelEncoder
from statevec.codecs.message_view import MessageView, message_view_class
from statevec.codecs.schema_messages import MessageBuilder, build_header
from statevec.codecs.schema_source import Element, read_schema
from statevec.codecs.schema_types import TypeBuilder
from statevec.codecs.writer import MessageWriter, message_writer

NO_DECODER: tuple[Any, int] = (None, 0)
BYTE_ORDERS: dict[str, ByteOrder] = {"littleEndian": "little", "bigEndian": "big"}


class Schema:
    """See the module's docstring. Build one with `load` or `parse`."""

    def __init__(self, root: Element) -> None:
        order = root.get("byteOrder", "littleEndian")
        if order not in BYTE_ORDERS:
            root.fail(f"byteOrder={order!r} is none of {', '.join(BYTE_ORDERS)}")
        self.byte_order: ByteOrder = BYTE_ORDERS[order]
        self.id = root.integer("id")
        self.version = root.integer("version", 0)
        self.package = root.get("package")
        self.semantic_version = root.get("semanticVersion")
        self.description = root.get("description")
        types = TypeBuilder(self.version, self.byte_order)
        message_elements: list[Element] = []
        for child in root.children:
            if child.tag == "types":
                for each in child.children:
                    types.declare(each)
            elif child.tag == "message":
                message_elements.append(child)
            elif child.tag == "messages":
                message_elements.extend(child.children)
            else:
                child.fail("does not belong into <messageSchema>")
        self.header: HeaderLayout = build_header(types, root.get("headerType", "messageHeader"), root)
        for name, element in types.elements.items():
            types.build(name, element)  # a wrong type is refused even where nobody uses it
        for name, value in (("schemaId", self.id), ("version", self.version)):
            member = self.header.member(name)
            if member is not None and value > member.primitive.highest:
                root.fail(f"{name} {value} does not fit into the message header ({member.primitive.name})")
        self.types: dict[str, FieldLayout] = {name: types.build(name, root) for name in types.elements}
        self.messages: dict[str, MessageLayout] = {}
        self._by_template: dict[int, MessageLayout] = {}
        builder = MessageBuilder(types, self.byte_order, self.header)
        for element in message_elements:
            self._add(builder, element)
        self.warnings: tuple[str, ...] = tuple(types.warnings)
        """What can be used, but other implementations may refuse or read in another way; one text each."""
        self._header_codec = HeaderCodec(self.header, self.id, self.version)
        self._views: dict[str, type[MessageView]] = {}
        self._encoders: dict[str, LevelEncoder] = {}
        self._decoders: dict[int, tuple[type[MessageView], int]] = {}
        self._header_size = self.header.size
        self._usual: dict[bytes, tuple[type[MessageView], int]] = {}
        """Headers that this schema's own encoder writes -> view class, length of header and block."""
        self._older: dict[tuple[int, int], tuple[type[MessageView], int]] = {}

    def _add(self, builder: MessageBuilder, element: Element) -> None:
        if element.tag != "message":
            element.fail("is not a message")
        message = builder.message(element)
        if message.id in self._by_template:
            element.fail(f"message template id already exists: {message.id}")
        if message.name in self.messages:
            element.fail(f"a message {message.name!r} exists already")
        self.messages[message.name] = message
        self._by_template[message.id] = message

    @classmethod
    def load(cls, path: str | Path, read: Callable[[Path], bytes] = Path.read_bytes) -> Schema:
        """Read a schema file. SchemaError says what is wrong with it, with file and line.

        `read` gives the bytes of the file and of what it includes, or raises OSError.
        """
        path = Path(path)
        try:
            content = read(path)
        except OSError as error:
            raise SchemaError(f"cannot be read: {error.strerror}", str(path)) from error
        return cls(read_schema(content, str(path), path.parent, read))

    @classmethod
    def parse(cls, text: bytes | str, name: str = "schema", directory: str | Path | None = None) -> Schema:
        """A schema from its XML; includes are looked for in `directory`, without one they are refused."""
        content = text.encode() if isinstance(text, str) else text
        return cls(read_schema(content, name, None if directory is None else Path(directory)))

    @cached_property
    def hash(self) -> str:
        """Hash (hex) of all that determines layout and meaning."""
        return layout_hash(self.id, self.version, self.byte_order, self.header, self.messages, self.types)

    def message(self, template_id: int) -> MessageLayout:
        """The message of a template id; UnknownTemplateError if there is none."""
        found = self._by_template.get(template_id)
        if found is None:
            raise UnknownTemplateError(f"unknown template: templateId={template_id} schema={self.id}")
        return found

    def enum_layout(self, name: str) -> EnumLayout:
        """The layout of a named enum."""
        found = self.types.get(name)
        if found is None or found.enum is None:
            names = ", ".join(key for key, each in self.types.items() if each.enum is not None)
            raise SchemaError(f"there is no enum {name!r} (enums: {names})")
        return found.enum

    def enum(self, name: str) -> type[IntEnum]:
        """The `IntEnum` class of a named enum; values of a char enum are code points."""
        return self.enum_layout(name).enum_class

    def choices(self, name: str) -> type[Choices]:
        """The `Choices` class of a named set."""
        found = self.types.get(name)
        if found is None or found.choices is None:
            names = ", ".join(key for key, each in self.types.items() if each.choices is not None)
            raise SchemaError(f"there is no set {name!r} (sets: {names})")
        return found.choices.choices_class

    def view(self, message_name: str) -> type[MessageView]:
        """The view class of a message: `view(buffer, offset)` or `instance.wrap(buffer, offset)`, without checks."""
        found = self._views.get(message_name)
        if found is None:
            found = message_view_class(self.layout(message_name), self._header_codec)
            self._views[message_name] = found
        return found

    def layout(self, name: str) -> MessageLayout:
        """The message of that name; UnknownMessageError names those that exist."""
        layout = self.messages.get(name)
        if layout is None:
            raise UnknownMessageError(f"there is no message {name!r} (messages: {', '.join(self.messages)})")
        return layout

    def decode(self, buffer: Any, offset: int = 0, length: int | None = None) -> MessageView:
        """A view of the message whose header is at `offset`; checks header, ids and that the block is all there.

        With `length`, the length of the frame that holds it, the whole message is walked and must end where its frame
        does; only a newer one may go on behind what this schema knows.
        """
        if type(buffer) is bytes and length is None and offset >= 0:
            # the usual message has a header that is known byte by byte
            view, end = self._usual.get(buffer[offset : offset + self._header_size], NO_DECODER)
            if view is not None and end <= len(buffer) - offset:
                usual: MessageView = view(buffer, offset)
                return usual
        return self._decode_checked(buffer, offset, length)

    def _decode_checked(self, buffer: Any, offset: int, length: int | None) -> MessageView:
        """The way of any message: its header is read and compared."""
        buffer, available = as_bytes(buffer)
        limit = available if length is None else offset + length
        header = self._header_codec
        if offset < 0 or offset + header.size > limit or limit > available:
            self._refuse_header(offset, limit, available)
        block_length, template_id, schema_id, version = header.read(buffer, offset)
        view, minimum = self._decoders.get(template_id, NO_DECODER)
        block = offset + header.size
        if (
            schema_id != self.id
            or view is None
            or version < self.version
            or not minimum <= block_length <= limit - block
        ):
            view, minimum = self._prepare(template_id, version, schema_id, offset)
            self._check_block(view.layout, minimum, block_length, limit - block, offset)
        made: MessageView = view(buffer, offset, limit)
        if length is not None:
            check_frame(made, length, offset)
        return made

    def _refuse_header(self, offset: int, limit: int, available: int) -> NoReturn:
        if limit > available:
            rule = f"buffer ends inside the frame: length={limit - offset} available={max(available - offset, 0)}"
        else:
            rule = f"buffer ends inside the header: header={self.header.size} available={max(limit - offset, 0)}"
        raise TruncatedError(rule, offset=offset)

    def _prepare(
        self, template_id: int, version: int, schema_id: int, offset: int = 0
    ) -> tuple[type[MessageView], int]:
        """View class and least block length for a template in an acting version."""
        if schema_id != self.id:
            raise WrongSchemaError(f"wrong schema: schemaId={schema_id} expected={self.id}", offset=offset)
        layout = self._by_template.get(template_id)
        if layout is None:
            raise UnknownTemplateError(
                f"unknown template: templateId={template_id} schema={self.id} version={version}", offset=offset
            )
        if template_id not in self._decoders:
            self._decoders[template_id] = (self.view(layout.name), layout.minimum_block_length)
            usual = (self.view(layout.name), self.header.size + layout.block_length)
            self._usual[self._header_codec.image(layout)] = usual
        version = acting_version(layout, version)
        if version >= self.version:
            return self._decoders[template_id]
        found = self._older.get((template_id, version))
        if found is None:
            view = message_view_class(layout, self._header_codec, version, self.view(layout.name))
            found = (view, minimum_block_length(layout.fields, version))
            self._older[template_id, version] = found
        return found

    def _check_block(self, layout: MessageLayout, minimum: int, block_length: int, available: int, offset: int) -> None:
        if block_length < minimum:
            raise BlockLengthError(
                f"block too short: blockLength={block_length} minimum={minimum}", layout.name, offset=offset
            )
        if block_length > available:
            raise TruncatedError(
                f"buffer ends inside the block: blockLength={block_length} available={available}",
                layout.name,
                offset=offset + self.header.size,
            )

    def encoder(self, message_name: str) -> LevelEncoder:
        """What `encode` uses for a message."""
        found = self._encoders.get(message_name)
        if found is None:
            layout = self.layout(message_name)
            found = LevelEncoder(layout, layout.name, "", self._header_codec.image(layout))
            self._encoders[message_name] = found
        return found

    def encode(self, message_name: str, values: Mapping[str, Any]) -> bytes:
        """A message from its values by name; optional fields, groups and data may be left out."""
        encoder = self._encoders.get(message_name)
        if encoder is None:
            encoder = self.encoder(message_name)
        return encoder.encode(values)

    def from_json(self, message_name: str, text: str | bytes) -> bytes:
        """A message from what `to_json` of its view gives."""
        return self.encode(message_name, from_json(self.layout(message_name), text))

    def create(self, message_name: str, buffer: Any, offset: int = 0) -> MessageView:
        """Start a message in a writable buffer: its `image` is written; gives its view."""
        image = self.image(message_name)
        buffer, length = as_bytes(buffer)
        if offset < 0 or offset + len(image) > length:
            raise NoSpaceError(f"no room: needed={len(image)} available={max(length - offset, 0)}", message_name)
        buffer[offset : offset + len(image)] = image
        return self.view(message_name)(buffer, offset)

    def writer(self, message_name: str, buffer: Any = None, offset: int = 0) -> MessageWriter:
        """A writer of a message, field by field, in place in `buffer` or in memory of its own: see `writer`."""
        return message_writer(self, message_name, buffer, offset)

    def image(self, message_name: str) -> bytes:
        """A whole message in which optional fields are null, groups and data are empty and all else is zero."""
        return self._header_codec.image(self.layout(message_name)) + self.encoder(message_name).empty

    def __repr__(self) -> str:
        return f"Schema(package={self.package!r}, id={self.id}, version={self.version}, messages={len(self.messages)})"
