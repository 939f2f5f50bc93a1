"""The SBE codec: schemas, messages read and written in place, files of messages. It needs no other part of statevec.

The names that are used alone, without an engine; they are looked up on first use, so that modules below here stay cheap
to import. `docs/sbe.md` is their page; all errors are in `statevec.codecs.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statevec.codecs.errors import DecodeError, EncodeError, SbeError, SchemaError
    from statevec.codecs.framing import LENGTH_16, LENGTH_32, SOFH, Framing
    from statevec.codecs.message_file import MessageFile
    from statevec.codecs.schema import Schema

__all__ = [
    "LENGTH_16",
    "LENGTH_32",
    "SOFH",
    "DecodeError",
    "EncodeError",
    "Framing",
    "MessageFile",
    "SbeError",
    "Schema",
    "SchemaError",
]

_HOMES = {"Schema": "schema", "MessageFile": "message_file"}
_HOMES |= dict.fromkeys(("Framing", "SOFH", "LENGTH_16", "LENGTH_32"), "framing")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"statevec.codecs.{_HOMES.get(name, 'errors')}"), name)
