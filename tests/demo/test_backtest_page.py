"""`docs/backtest.md`: its example of another domain runs, and its options and columns are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from statevec.cli.backtest import backtest
from statevec.demo.backtest_market import OWN_PARAMETERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8")


def test_the_example_of_another_domain_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/backtest.md", "exec"), {})
    shown = capsys.readouterr().out.strip()
    assert f"# {shown}" in example


def test_the_page_names_every_option_and_every_parameter_of_the_market() -> None:
    usage = PAGE.split("\n\n")[1]
    options = [option for each in backtest.params if isinstance(each, click.Option) for option in each.opts]
    assert [option for option in options if option not in usage] == []
    assert [name for name in OWN_PARAMETERS if f"`{name}`" not in PAGE] == []
