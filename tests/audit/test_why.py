"""Why an output went out: the entry found is the one that emitted it, and what carries its id later is all there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from statevec.audit.output_ids import UnknownOutputError, id_field
from statevec.audit.why import OutputHistory
from statevec.cli.main import run_command
from statevec.engine.plugin.loader import load_plugin
from statevec.journal.errors import SequenceNotFoundError
from statevec.roles.cursor import Cursor, CursorFile
from tests.audit.decoded_history import DecodedHistory
from tests.snapshot.histories import desk_history, hedge_history

TALLY = Path(__file__).parents[1] / "roles" / "tally"


@pytest.fixture
def seed() -> int:
    made = random.randrange(1 << 30)
    print(f"seed={made}")
    return made


def carriers(oracle: DecodedHistory, field: str, value: int) -> list[tuple[int, str]]:
    """(sequence, message) of everything that carries the value, in order, timers of that number too."""
    found = []
    for entry, decoded in zip(oracle.entries, oracle.decoded, strict=True):
        came: dict[str, Any] = decoded["input"] or {}
        fields = came.get("fields", {})
        if fields.get(field) == value or (entry.kind_name == "timer" and fields.get("timer_id") == value):
            found.append((entry.sequence, came["message"]))
        found += [
            (entry.sequence, each["message"]) for each in decoded["outputs"] if each["fields"].get(field) == value
        ]
    return found


@pytest.mark.parametrize("make", [desk_history, hedge_history])
def test_an_id_leads_to_the_entry_that_emitted_it(tmp_path: Path, seed: int, make: Any) -> None:
    recorded = make(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    message = "Order" if make is desk_history else "PlaceOrder"
    outputs = oracle.outputs(message)
    assert outputs
    history = OutputHistory(recorded.instance)
    for output in random.Random(seed).sample(outputs, min(5, len(outputs))):
        found = history.why(str(output["order_id"]))
        assert (found.identity, found.field) == (f"1:{output['sequence']}:{output['index']}", "order_id")
        assert found.output["message"] == message
        everything = carriers(oracle, "order_id", output["order_id"])
        later = [(event.entry.sequence, event.message["message"]) for event in found.later]
        assert [(output["sequence"], message), *later] == everything
        entry = oracle.decoded[output["sequence"] - 1]
        assert found.changes == entry["changes"]
        assert found.entry.input == entry["input"]
        again = history.why(found.identity)
        assert (again.output, again.later) == (found.output, found.later)


def test_what_is_no_output_is_refused_with_what_there_is(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    history = OutputHistory(recorded.instance)
    oracle = DecodedHistory(recorded.instance)
    silent = next(entry.sequence for entry in oracle.entries if not entry.outputs())
    for asked, words in (
        ("12:1", "epoch:sequence:index"),
        ("first", "epoch:sequence:index"),
        (f"2:{silent}:0", "is of epoch=1"),
        (f"1:{silent}:0", "has 0 outputs"),
        ("1:0:0", f"a sequence is 1 to {(1 << 63) - 1}: sequence=0"),
        (f"1:{1 << 64}:0", "a sequence is 1 to"),
        ("5", "no output carries order_id=5"),
    ):
        with pytest.raises(UnknownOutputError, match=words):
            history.why(asked)
    with pytest.raises(SequenceNotFoundError):
        history.why("1:100000:0")
    with pytest.raises(
        UnknownOutputError, match="no output has an integer field 'id'; there are: instrument, order_id"
    ):
        history.why("1", "id")


def test_a_value_of_several_outputs_lists_them(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    orders = DecodedHistory(recorded.instance).outputs("Order")
    instrument = orders[0]["instrument"]
    first = [f"1:{each['sequence']}:{each['index']}" for each in orders if each["instrument"] == instrument][:2]
    with pytest.raises(UnknownOutputError, match=f"ask for one of: {first[0]}, {first[1]}"):
        OutputHistory(recorded.instance).why(str(instrument), "instrument")


def test_outputs_without_an_id_of_their_own_need_a_field() -> None:
    with pytest.raises(UnknownOutputError, match="give --field; there are: account, number, total"):
        id_field(load_plugin(TALLY))


def test_a_gateway_that_has_passed_the_output_has_acknowledged_it(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded = desk_history(tmp_path, seed)
    output = DecodedHistory(recorded.instance).outputs("Order")[3]
    sequence, index = output["sequence"], output["index"]
    for name, acknowledged in (("done", index + 1), ("behind", index)):
        file = CursorFile(recorded.instance, name)
        file.write(Cursor(recorded.positions[sequence - 1], 1, sequence, "", acknowledged), durable=False)
        file.close()
    found = OutputHistory(recorded.instance).why(str(output["order_id"]))
    assert found.gateways == {
        "behind": f"not acknowledged yet; its cursor is at sequence {sequence}",
        "done": "acknowledged",
    }
    capfd.readouterr()
    at = ["--instance", str(recorded.instance.directory)]
    assert run_command(["why", found.identity, *at, "--format", "json"]) == 0
    assert msgspec.json.decode(capfd.readouterr().out)["entry"]["sequence"] == sequence
    assert run_command(["why", found.identity, *at]) == 0
    text = capfd.readouterr().out
    assert "gateway done: acknowledged" in text
    assert text.endswith(f"statevec explain {sequence} --instance {recorded.instance.directory}\n")
