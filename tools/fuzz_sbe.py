"""Coverage-guided fuzzing of the SBE codec, with atheris (x86_64 only; not a dependency, `pip install atheris`).

    python -m tools.fuzz_sbe message -max_total_time=300
    python -m tools.fuzz_sbe file | xml | …

The corpus is `tests/codecs/corpus/TARGET`; what is new goes to a directory beside it that is not committed unless its
inputs are chosen for the tests (`--keep`: the corpus itself). A finding is written to a temporary directory that the
last lines name; it belongs into the corpus once it is mended. The rest of the arguments are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

PROJECT = Path(__file__).resolve().parent.parent
CORPUS = PROJECT / "tests" / "codecs" / "corpus"
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
    from tests.codecs.fuzz_targets import TARGETS


def main() -> None:
    """Run libFuzzer on one target until it finds something or its time is over."""
    names = [each for each in sys.argv[1:] if not each.startswith("-")]
    if len(names) != 1 or names[0] not in TARGETS:
        sys.exit(f"usage: python -m tools.fuzz_sbe {'|'.join(TARGETS)} [--keep] [libFuzzer options]")
    options = [each for each in sys.argv[1:] if each.startswith("-") and each != "--keep"]
    corpus = CORPUS / names[0]
    corpus.mkdir(parents=True, exist_ok=True)
    directories = [str(corpus)] if "--keep" in sys.argv else [tempfile.mkdtemp(prefix="statevec-corpus-"), str(corpus)]
    findings = tempfile.mkdtemp(prefix="statevec-findings-")
    limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", f"-artifact_prefix={findings}/"]
    atheris.Setup([sys.argv[0], *limits, *options, *directories], TARGETS[names[0]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
