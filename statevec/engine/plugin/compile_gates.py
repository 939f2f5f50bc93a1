"""What must hold of a handler once Numba has compiled it, and Numba's errors in the plugin's own words.

Gates (a `PluginError` each)
    * No value changes from integer to float on the way into a variable: Python would keep the integer.
    * No variable that some path leaves unbound (Numba warns, `kernel` makes it).
    * No external symbol: a handler calls nothing but itself and LLVM's own operations, so it does no I/O, takes no
      memory, and needs no library whose results differ from machine to machine.

They run when a handler is compiled, before anything is put into the cache: what is loaded from it has passed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba import types
from numba.core import ir
from numba.core.errors import NumbaError, NumbaWarning

from statevec.codecs.native import FieldTypeError
from statevec.engine.plugin.compiler_words import operation_words
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.native_arithmetic import PluginTypeError

DECLARATION = re.compile(r"^declare .*? @\"?([^\"(]+)\"?\(", re.MULTILINE)
ALLOWED_SYMBOLS = re.compile(r"llvm\.|memcpy$|memmove$|memset$|memcmp$|bcmp$")
BOILERPLATE = (
    *("Failed in nopython", "During:", "File ", "- ", "^", ">>>", "There are", "Overload", "Rejected"),
    *("With argument", "Invalid use of", "No implementation", "Enable logging", "No match"),
)
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def _plain_text(error: Exception) -> str:
    return ESCAPES.sub("", str(error))


def explain(error: Exception, path: str) -> PluginError:
    """A compiler's error as one of the plugin: its own file, the innermost of its lines, words that help."""
    text = _plain_text(error)
    quoted = re.escape(path)
    found = re.search(rf"(?:at|from|location:|by) {quoted} \((\d+)\)", text)
    found = found or re.search(rf'File "[^"]*{re.escape(path.rsplit("/", 1)[-1])}", line (\d+)', text)
    place = getattr(error, "loc", None)
    line = 0
    if found:
        line = int(found[1])
    elif place is not None and place.filename == path:
        line = int(place.line)
    return PluginError(_reason(error, text), path, line)


def _reason(error: Exception, text: str) -> str:
    if isinstance(error, FieldTypeError):
        return text.splitlines()[0].strip()
    ours = re.search(rf"{re.escape(PluginTypeError.MARK)}(.*)", text)
    if ours:
        return ours[1].strip()
    field = re.search(
        r"(?:FieldTypeError: |)((?:\S+ has no field '|record \S+ was only read|a value of type ).*)", text
    )
    if field:
        return field[1].strip()
    unify = re.search(r"Cannot unify (.+?) and (.+?) for '(\w+)", text)
    if unify:
        return f"{unify[3]!r} holds {unify[1]} on one path and {unify[2]} on another"
    words = operation_words(text)
    if words:
        return words
    lines = [each.strip() for each in text.splitlines() if each.strip()]
    return next((each for each in lines if not each.startswith(BOILERPLATE)), lines[0] if lines else repr(error))


@contextmanager
def compiling(path: str) -> Iterator[None]:
    """Numba's errors, and its warnings about the plugin's file, become `PluginError`s."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NumbaWarning)
        try:
            yield
        except NumbaError as error:
            raise explain(error, path) from None
    for each in caught:
        if path in str(each.message):
            raise explain(Exception(str(each.message)), path)
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def check_numbers(result: Any, path: str) -> None:
    """No integer becomes a float, or the other way round, by being assigned or returned."""
    annotation = result.type_annotation
    kinds = annotation.typemap
    for block in annotation.blocks.values():
        for statement in block.find_insts(ir.Assign):
            value = statement.value
            sources = [value] if isinstance(value, ir.Var) else []
            if isinstance(value, ir.Expr) and value.op == "cast":
                sources = [value.value]
            if isinstance(value, ir.Expr) and value.op == "phi":
                sources = [each for each in value.incoming_values if isinstance(each, ir.Var)]
            target = kinds.get(statement.target.name)
            for each in sources:
                if _number(kinds.get(each.name)) + _number(target) in ("intfloat", "floatint"):
                    name = statement.target.name.split(".")[0]
                    text = "a value" if name.startswith("$") else repr(name)
                    raise PluginError(
                        f"{text} is an integer on one path and a float on another", path, statement.loc.line
                    )


def _number(kind: Any) -> str:
    if isinstance(kind, types.Optional):
        return _number(kind.type)
    if isinstance(kind, types.Integer | types.Boolean | types.IntEnumMember):
        return "int"
    return "float" if isinstance(kind, types.Float) else ""


def check_symbols(library: Any, path: str) -> None:
    """The machine code calls nothing outside of itself."""
    for name in DECLARATION.findall(library.get_llvm_str()):
        if not ALLOWED_SYMBOLS.match(name):
            raise PluginError(f"the compiled code calls {name!r}, which is outside of it", path)
