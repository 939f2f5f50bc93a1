"""Numba's names of types and operations in the words of a plugin author.

Numba says what a handler got wrong in terms of its own: `getitem(Chars, Literal[int](0))`. Here it is "[…] is not for
text".
Nothing here keeps state.
"""

from __future__ import annotations

import re

OPERATIONS = {
    "getitem": ("[…]", 1),
    "static_getitem": ("[…]", 1),
    "getiter": ("a loop", 1),
    "contains": ("`in`", 1),
    "len": ("len()", 1),
    "bool": ("a condition", 1),
    "truth": ("a condition", 1),
    "lt": ("<", 2),
    "le": ("<=", 2),
    "gt": (">", 2),
    "ge": (">=", 2),
    "eq": ("==", 2),
    "ne": ("!=", 2),
    "and_": ("&", 2),
    "or_": ("|", 2),
    "xor": ("^", 2),
}
"""By Numba's name: what the author wrote, and how many of the operands say why it does not go."""
TYPES = (
    (r"(?:Optional|OptionalType)\((.*)\)", None),
    (r"(?:Literal\[int\]|u?int\d+).*", "an integer"),
    (r"float\d+", "a float"),
    (r"(?:Live)?Chars|Data|readonly bytes.*", "text"),
    (r"bool(?:ean)?|Literal\[bool\].*", "a bool"),
    (r"none", "None"),
    (r"IntEnum(?: class)?<.*?>\((\w+)\)", r"\1"),
    (r"(?:Edited|Read)\((\w+), .*", r"a record \1"),
    (r"Table\((\w+), .*", r"the table \1"),
    (r"Rows\((?:Edited|Read)\((\w+), .*", r"rows of \1"),
    (r"Transaction\(.*", "the transaction"),
    (r"(?:StructType|Level|OutputLevel)\(([\w.]+), .*", r"\1"),
    (r"(?:Uni)?Tuple\(.*", "a tuple"),
)


def type_words(text: str) -> str:
    """One of Numba's types, by its text."""
    for pattern, words in TYPES:
        found = re.fullmatch(pattern, text.strip())
        if found:
            return f"{type_words(found[1])} or None" if words is None else found.expand(words)
    return text.strip()


def _arguments(text: str) -> list[str]:
    """What stands between the commas that are not inside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([<") - (character in ")]>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [each for each in parts if each.strip()]


def operation_words(text: str) -> str:
    """What an operation does not take, from the compiler's text; empty when it is about something else."""
    found = re.search(
        r"No implementation of function Function\(<built-in function (\w+)>\).*?>>> \w+\((.*?)\)\s*\n", text, re.S
    )
    found = found or re.search(r"Invalid use of (\w+) with parameters \((.*)\)", text)
    if found and found[1] in OPERATIONS:
        words, count = OPERATIONS[found[1]]
        kinds = [type_words(each) for each in _arguments(found[2])[:count]]
        return f"{words} is not for {' and '.join(kinds)}"
    attribute = re.search(r"Unknown attribute '(\w+)' of type (.*)", text)
    return f"{type_words(attribute[2])} has no {attribute[1]!r}" if attribute else ""
