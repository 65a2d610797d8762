"""Records the histories that `test_replay.py` replays: `python -m tests.replay.record [path ...]`.

Histories of a released version are never recorded again: a release gets a directory of its own, and
all of them are replayed for ever.
"""

import asyncio
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.replay.paths import PATHS
from tests.replay.scene import Scene
from tests.support.product import running_product
from tests.workflows.real import Control, Market

HISTORIES: Final = Path(__file__).parent / "histories"
PYPROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"


def version() -> str:
    """The product's own."""
    project = tomllib.loads(PYPROJECT.read_text())
    return str(project["project"]["version"])


async def record(scene: Scene, names: Sequence[str]) -> None:
    """Play the named paths, all of them if none is named, and keep each as soon as it is over."""
    directory = HISTORIES / version()
    directory.mkdir(parents=True, exist_ok=True)
    for path in PATHS:
        name = getattr(path, "__name__", "")
        if names and name not in names:
            continue
        played = await path(scene)
        await scene.control.ask("DELETE", "/faults")
        history = await played.handle.fetch_history()
        events = without_traces(json.loads(history.to_json()))
        (directory / f"{name}.json").write_text(json.dumps(events, indent=1) + "\n")
        print(f"{name}: {len(history.events)} events")  # noqa: T201 - a command's answer


async def _main(names: Sequence[str]) -> None:
    async with running_product() as product:
        market = Market(product.env, product.sdk)
        await record(Scene(market, Control(product.stripe), product.database, product.gateway), names)


def main() -> None:
    """Record and write."""
    asyncio.run(_main(sys.argv[1:]))


def without_traces(node: Any) -> Any:
    """A failure's stack trace names the machine's directories, and replays need none."""
    if isinstance(node, dict):
        return {key: without_traces(value) for key, value in node.items() if key != "stackTrace"}
    return [without_traces(value) for value in node] if isinstance(node, list) else node


if __name__ == "__main__":
    main()
