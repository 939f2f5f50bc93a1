"""Coverage-guided fuzzing of the SBE codec, with atheris (x86_64 only; not a dependency, `pip install atheris`).

    python -m tools.fuzz_sbe message -max_total_time=300
    python -m tools.fuzz_sbe file | xml | …
    python -m tools.fuzz_sbe message --pack DIRECTORY

It begins with the corpus of the tests: the files in `tests/codecs/corpus/TARGET`, and the lines of `TARGET.hex`, an
input each, which the fuzzer chose before. What it chooses now, and what it finds, goes to temporary directories that
its first line names; `--pack` adds the small inputs of a directory to the lines. Other arguments are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

PROJECT = Path(__file__).resolve().parent.parent
PLAIN_MODULES = {
    f"statevec.codecs.{name}"
    for name in (
        *("block_decoder", "block_encoder", "columns", "evolution", "field_codec", "flyweight", "frame_check"),
        *("handler_view", "header", "json_form", "layout", "levels", "message_encoder", "message_file"),
        *("message_view", "schema", "schema_diff", "schema_messages", "schema_source", "schema_table", "schema_types"),
    )
}
"""What is instrumented: Numba could not compile the kernels of other modules."""


def _other_modules() -> list[str]:
    """All modules of statevec but those; atheris takes whole packages, and exceptions."""
    files = [each.relative_to(PROJECT).with_suffix("") for each in (PROJECT / "statevec").rglob("*.py")]
    return [name for name in (".".join(each.parts) for each in files) if name not in PLAIN_MODULES]


with atheris.instrument_imports(include=["statevec"], exclude=_other_modules()):
    from tests.codecs.fuzz_targets import CORPUS, TARGETS, packed


MOST_PACKED = 400
"""Bytes of an input that is kept as a line: longer ones say nothing that a short one cannot."""


def pack(target: str, directory: Path) -> None:
    """Add the inputs of a directory to those that the tests run."""
    path = CORPUS / f"{target}.hex"
    lines = set(path.read_text().split()) if path.exists() else set()
    inputs = (each.read_bytes() for each in directory.iterdir())
    lines |= {each.hex() for each in inputs if 0 < len(each) <= MOST_PACKED}
    path.write_text("".join(f"{line}\n" for line in sorted(lines)))


def main() -> None:
    """Run libFuzzer on one target until it finds something or its time is over."""
    names = [each for each in sys.argv[1:] if not each.startswith("-")]
    if not names or names[0] not in TARGETS:
        sys.exit(f"usage: python -m tools.fuzz_sbe {'|'.join(TARGETS)} [--pack DIRECTORY | libFuzzer options]")
    if "--pack" in sys.argv:
        pack(names[0], Path(names[1]))
        return
    chosen = Path(tempfile.mkdtemp(prefix="statevec-corpus-"))
    findings = tempfile.mkdtemp(prefix="statevec-findings-")
    for number, content in enumerate(packed(names[0])):
        (chosen / f"packed-{number}").write_bytes(content)
    print(f"chosen inputs: {chosen}  findings: {findings}", flush=True)
    limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", f"-artifact_prefix={findings}/"]
    options = [each for each in sys.argv[1:] if each.startswith("-")]
    directories = [str(chosen), str(CORPUS / names[0])]
    atheris.Setup([sys.argv[0], *limits, *options, *directories], TARGETS[names[0]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
