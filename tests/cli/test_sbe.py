"""`statevec sbe`, where `docs/sbe.md` does not go: what is wrong, in one line with status 1, and the JSON forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.codecs.framing import FRAMINGS
from statevec.codecs.schema import Schema

XML = Path(__file__).parent.parent / "codecs" / "everything.xml"
QUOTE = {"price": {"mantissa": 5}, "side": "BUY"}


@pytest.fixture
def quotes(tmp_path: Path) -> Path:
    """A file of two bare messages."""
    path = tmp_path / "quotes.sbe"
    path.write_bytes(Schema.load(XML).encode("Quote", QUOTE) * 2)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = run_command(["sbe", *map(str, arguments)])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_each_schema_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text(XML.read_text().replace('type="Symbol"', 'type="Symbols"'))
    status, out, err = run(capsys, "check", broken, XML)
    line = 1 + broken.read_text()[: broken.read_text().index('"Symbols"')].count("\n")
    assert status == 1
    assert err == f"error: {broken}:{line}: <field name='symbol'> there is no type 'Symbols'\n"
    assert out.startswith(f"{XML}: valid: package=everything id=40 version=2 byteOrder=bigEndian messages=2")


def test_a_layout_has_a_form_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "layout", XML, "--message", "Quote", "--format", "json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert (rows["side"]["offset"], rows["side"]["size"], rows["Quote"]["size"]) == (10, 1, 6)
    status, _, err = run(capsys, "layout", XML, "--message", "Quotes")
    assert status == 1 and "there is no message 'Quotes' (messages: Basket, Quote)" in err


def test_what_is_decoded_encodes_to_the_same_bytes(
    tmp_path: Path, quotes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines, _ = run(capsys, "decode", XML, quotes)
    assert status == 0 and len(lines.splitlines()) == 2
    text = tmp_path / "quotes.jsonl"
    text.write_text(lines + "\n")
    for name, framing in FRAMINGS.items():
        target = tmp_path / name
        assert run(capsys, "encode", XML, text, "-o", target, "--framing", name)[0] == 0
        assert target.read_bytes() == 2 * framing.wrap(quotes.read_bytes()[: quotes.stat().st_size // 2])
        assert run(capsys, "decode", XML, target, "--framing", name) == (0, lines, "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0", "buffer ends inside the header: header=6 available=1 offset=34"),
        (b"\0\x0b\x02\0\x28\x02\0", "Quote: buffer ends inside the block: blockLength=11 available=1"),
        (b"\0\x0b\x09\0\x28\x02\0", "unknown template: templateId=9"),
    ],
)
def test_a_broken_file_is_told_where(
    quotes: Path, content: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes.write_bytes(quotes.read_bytes() + content)
    status, out, err = run(capsys, "decode", XML, quotes)
    assert status == 1 and words in err and len(out.splitlines()) == 2
    assert run(capsys, "decode", XML, quotes, "--framing", "sofh")[0] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: not JSON"),
        ("[]", 'line 1: not an object {"message": …, "fields": …}'),
        ('{"message": "Quotes", "fields": {}}', "line 1: there is no message 'Quotes'"),
        ('{"message": "Quote", "fields": {"side": "BUY"}}', "line 1: Quote.price.mantissa: a required field without"),
        ('{"message": "Quote", "version": 1, "fields": {}}', "line 1: version 1 is not the schema's, 2"),
        ('{"message": "Quote", "fields": {"sides": 1}}', "line 1: Quote.sides: there is no such field"),
    ],
)
def test_a_line_that_cannot_be_encoded_is_named(
    tmp_path: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "lines"
    text.write_text(line + "\n")
    status, _, err = run(capsys, "encode", XML, text, "-o", tmp_path / "made")
    assert status == 1 and words in err and err.count("\n") == 1


def test_a_change_that_breaks_readers_has_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = tmp_path / "newer.xml"
    text = XML.read_text().replace('version="2"', 'version="3"')
    newer.write_text(text.replace('<data name="note"', '<data name="more" id="27" type="text"/><data name="note"'))
    status, out, _ = run(capsys, "diff", XML, newer, "--format", "json")
    assert status == 1
    assert [(each["verdict"], each["path"]) for each in json.loads(out)] == [("breaks", "Basket.legs.more")]
    assert run(capsys, "diff", XML, XML) == (0, "no change\n", "")
