"""The screen of `statevec top`, driven without a terminal, on an engine that runs and dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Static

from statevec.cli.main import run_command
from statevec.cli.top_app import TopApp
from statevec.roles.producer import Producer
from tests.roles.engine_harness import EngineUnderTest, add

WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.1


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    running = EngineUnderTest(tmp_path_factory.mktemp("top"), more='[[gateway]]\nname = "notes"\nmessages = ["Note"]\n')
    try:
        running.start()
        yield running
    finally:
        running.clean_up()


def body(app: TopApp) -> str:
    return str(app.query_one("#body", Static).render())


async def shows(app: TopApp, what: str) -> str:
    async def wait() -> str:
        while what not in body(app):
            await asyncio.sleep(0.005)
        return body(app)

    try:
        return await asyncio.wait_for(wait(), WAIT_SECONDS)
    except TimeoutError:
        raise AssertionError(f"never shown: {what!r} in\n{body(app)}") from None


@pytest.mark.parametrize("size", [(80, 24), (160, 60)])
def test_the_screen_shows_everything_and_follows_the_keys(engine: EngineUnderTest, size: tuple[int, int]) -> None:
    async def drive() -> None:
        app = TopApp(engine.instance, LOOK_SECONDS)
        async with app.run_test(size=size) as pilot:
            with Producer(engine.directory, "market") as producer:
                for number in range(20):
                    producer.send(add(number, -1 if number % 4 == 0 else 1, announce=1), WAIT_SECONDS)
                shown = await shows(app, "REJECTED(1): an amount is not negative")
            for what in (
                "LEADS",
                "tally@1.0.0 decides",
                "latency now",
                "appended",
                "market",
                "gateway notes",
                "COMMITTED",
            ):
                assert what in shown
            rings = [line.split()[0] for line in shown.splitlines() if "··········" in line]
            assert rings == ["admin", "desk", "market", "operator"]
            await pilot.press("s")
            await pilot.press("s")
            assert app.sort == "rate"
            await pilot.press("p")
            looks = app.looks
            await pilot.pause(2 * LOOK_SECONDS)
            assert app.looks == looks
            await pilot.press("p")
            await pilot.pause(2 * LOOK_SECONDS)
            assert app.looks > looks
            await pilot.press("q")
        assert app.return_code == 0

    asyncio.run(drive())


def test_an_instance_that_is_removed_is_said(tmp_path: Path, engine: EngineUnderTest) -> None:
    async def drive() -> None:
        app = TopApp(engine.instance, LOOK_SECONDS)
        async with app.run_test():
            await shows(app, "LEADS")
            engine.directory.rename(tmp_path / "elsewhere")
            await shows(app, "cannot look: ")
            (tmp_path / "elsewhere").rename(engine.directory)
            await shows(app, "LEADS")

    asyncio.run(drive())


def test_a_leader_that_dies_is_shown(engine: EngineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    async def drive() -> None:
        app = TopApp(engine.instance, LOOK_SECONDS)
        async with app.run_test(size=(100, 40)):
            await shows(app, "LEADS")
            engine.kill()
            await shows(app, "GONE")
            assert run_command(["clean", "--instance", str(engine.directory), "--discard"]) == 0
            await shows(app, "not in shared memory")

    asyncio.run(drive())
