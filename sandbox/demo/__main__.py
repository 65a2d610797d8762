"""`make demo`: through the stack that runs on RUN_DIR, or through one of its own that it takes away again.

`python -m sandbox.demo "happy path" "class held"` plays only these.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
from rich.console import Console

from models.money import display
from sandbox import configuration, launch
from sandbox.client import Outside, StackDescription, outside
from sandbox.demo.board import Board, show_outcomes
from sandbox.demo.play import Played, play_all, playable
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import CURRENCY, Pace
from sandbox.errors import SandboxError

PATIENCE: Final = 240.0
"""Seconds that everything together may take once the stack is there."""

FILE_WIDTH: Final = 140
"""Columns where there is no terminal to ask."""

INTERRUPTED: Final = 130
"""Exit status of what Ctrl-C ended."""


class NotAsItShouldBe(SandboxError):
    """Something that the demo promises did not happen."""


@asynccontextmanager
async def stack_to_use(console: Console) -> AsyncIterator[StackDescription]:
    """The stack of RUN_DIR if it answers, else a new one on free ports in a temporary directory."""
    found = StackDescription.read(configuration.read().run_dir)
    if found is not None and await _answers(found):
        console.print(f"Playing through the running stack at {found.api_url}.", highlight=False)
        yield found
        return
    console.print("No stack is running: starting one for this demo (a few seconds) ...", highlight=False)
    with launch.temporary_run_dir() as run_dir:
        try:
            async with launch.running(run_dir) as started:
                yield started
                console.print("Stopping the stack of this demo; its links end with it.", highlight=False)
        except SandboxError:
            console.print(f"What it wrote is kept in {run_dir / 'logs'}.", soft_wrap=True, highlight=False)
            raise


async def _answers(stack: StackDescription) -> bool:
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=5, trust_env=False) as http:
        try:
            return (await http.get("/readyz")).is_success
        except httpx.TransportError:
            return False


async def demo(console: Console, names: Sequence[str] = ()) -> None:
    """Play the named scenarios, all if none is named; show, check.

    Raises:
        SandboxError: a booking did not end as it has to, or a cent is not accounted for.
    """
    async with stack_to_use(console) as stack, outside(stack) as everybody:
        began = time.monotonic()
        played = await _play(everybody, console, names)
        show_outcomes(console, stack, played)
        if not verdict(console, played, time.monotonic() - began):
            raise NotAsItShouldBe("The demo failed.")


async def _play(everybody: Outside, console: Console, names: Sequence[str]) -> list[Played]:
    scenarios = [one for one in playable(everybody, SCENARIOS) if one.name in names or not names]
    with Board(console, [scenario.name for scenario in scenarios]) as board:
        try:
            return await asyncio.wait_for(play_all(everybody, scenarios, Pace(), board.say), PATIENCE)
        except TimeoutError:
            raise NotAsItShouldBe(f"The demo was not over after {PATIENCE:.0f} s.") from None


def verdict(console: Console, played: Sequence[Played], seconds: float) -> bool:
    """Say what is wrong, or that nothing is; True when nothing is."""
    wrong = [f"{one.scenario.name}: {sentence}" for one in played for sentence in one.wrong]
    for sentence in wrong:
        console.print(f"NOT AS IT SHOULD BE: {sentence}", style="bold red", soft_wrap=True, highlight=False)
    if wrong:
        return False
    figures = [found for one in played for found in one.figures]
    captured, refunded, disputed, platform, sent, owed = (
        display(sum(getattr(each, name) for each in figures), CURRENCY)
        for name in ("captured", "refunded", "disputed", "platform_net", "sent", "debt")
    )
    console.print(
        f"The money adds up: captured {captured} = refunded {refunded} + disputed {disputed} "
        f"+ platform {platform} + providers {sent} - owed by providers {owed}, and nothing is held or authorized. "
        f"Ledger, Stripe and API agree on all {len(figures)} bookings, {seconds:.0f} s.",
        soft_wrap=True,
        highlight=False,
    )
    return True


def main() -> None:
    """Exit with 0 only when everything adds up."""
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    try:
        asyncio.run(demo(console, sys.argv[1:]))
    except SandboxError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
