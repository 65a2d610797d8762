"""`make chaos`: everything that can break breaks while bookings are under way, then every cent is looked for.

`BOOKINGS`, `MINUTES`, `SEED` and `JSON` (a file for the numbers) come from the environment or as flags. With
`--unguarded` the workers send without keys and look nothing up: such a run has to fail.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from sandbox.errors import SandboxError
from sandbox.launch import temporary_run_dir
from tests.chaos.plan import Plan, draw
from tests.chaos.report import as_json, show
from tests.chaos.run import Outcome, play

INTERRUPTED: Final = 130
"""Exit status of what Ctrl-C ended."""

FILE_WIDTH: Final = 140
"""Columns where there is no terminal to ask."""


class Harmed(SandboxError):
    """Something that must never happen did."""


def options() -> argparse.Namespace:
    """What is asked for; flags go before the environment, which goes before what is usual."""
    told = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    told.add_argument("--bookings", type=int, default=int(os.environ.get("BOOKINGS") or 200))
    told.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 5))
    told.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or _any_seed()))
    told.add_argument("--json", type=Path, default=os.environ.get("JSON") or None)
    told.add_argument("--unguarded", action="store_true", help="without keys and look-ups: has to fail")
    return told.parse_args()


def _any_seed() -> int:
    return random.SystemRandom().randrange(1, 10**6)


def unguarded(orders: Path) -> dict[str, str]:
    """What tells a stack to run workers without their guards."""
    orders.mkdir()
    program = "-m tests.e2e.mortal_worker"
    return {"WORKER_PROGRAM": program, "CHAOS_KILL": str(orders), "CHAOS_UNGUARDED": "1"}


def chaos(plan: Plan, console: Console, into: Path | None, *, guarded: bool = True) -> None:
    """Play a plan, show what came of it.

    Raises:
        Harmed: the product broke a promise, or too little happened to prove one.
        SandboxError: the stack did not start.
    """
    began = time.monotonic()

    def say(news: str) -> None:
        console.print(
            f"{time.monotonic() - began:6.1f} s  {news}", soft_wrap=True, highlight=False, markup=False
        )

    console.print(f"Seed {plan.seed}. To play this again: {plan.replay}", soft_wrap=True, highlight=False)
    with temporary_run_dir() as run_dir:
        environment = {} if guarded else unguarded(run_dir.with_name("orders"))
        outcome: Outcome = asyncio.run(play(plan, run_dir, say, environment=environment))
        show(console, outcome)
        if into:
            into.write_text(json.dumps(as_json(outcome), indent=2))
        if outcome.wrong:
            raise Harmed(f"The run failed; what its stack wrote is kept in {run_dir}. Again: {plan.replay}")


def main() -> None:
    """Exit with 0 only when nothing was lost, and enough happened to tell."""
    told = options()
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    plan = draw(told.seed, told.bookings, told.minutes)
    plan = plan.unguarded if told.unguarded else plan
    try:
        chaos(plan, console, told.json, guarded=not told.unguarded)
    except SandboxError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BaseException:
        console.print(f"The runner broke. To play this again: {plan.replay}", highlight=False)
        raise


if __name__ == "__main__":
    main()
