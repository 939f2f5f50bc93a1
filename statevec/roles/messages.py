"""Messages by name, from the schema that lies beside a plugin in the instance's store.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterable

from statevec.codecs.header import HeaderCodec
from statevec.codecs.schema import Schema
from statevec.engine.instance import InstanceError


class MessageFilter:
    """Tells which messages are among those with the given names."""

    def __init__(self, schema: Schema, names: Iterable[str]) -> None:
        wanted = list(names)
        if not wanted:
            raise InstanceError("no message is named; leave the names out for all messages")
        missing = [name for name in wanted if name not in schema.messages]
        if missing:
            known = ", ".join(sorted(schema.messages))
            raise InstanceError(f"no such message: {', '.join(missing)}; the schema has {known}")
        self.template_ids = frozenset(schema.messages[name].id for name in wanted)
        template = schema.header.member("templateId")
        self.has_plain_header = template is not None and (template.offset, template.code) == (2, "H")
        """Whether the template id is a uint16 at offset 2, as in the header that SBE recommends."""
        self._read_header = HeaderCodec(schema.header, schema.id, schema.version).read

    def takes(self, message: bytes) -> bool:
        """Whether a message, its header first, is one of them."""
        return self._read_header(message, 0)[1] in self.template_ids
