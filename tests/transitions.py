"""Write docs/transitions.md from a run that records every move: `python -m tests.transitions [pytest's arguments]`.

Without arguments it runs the tests that play the product in this process. With `--from FILE` it takes
what an earlier `pytest --transitions FILE` recorded.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.transition_table import PAGE, PREFERRED, ROOT, Taken, best, legal, read, render

PLAYED: Final = [folder.rstrip("/") for folder in PREFERRED]


def main(arguments: list[str]) -> int:
    """Record, write the page, and say which moves no test takes."""
    if arguments[:1] == ["--from"]:
        taken = _recorded(Path(arguments[1]))
    else:
        with tempfile.TemporaryDirectory() as directory:
            record = Path(directory) / "moves"
            record.touch()
            command = [sys.executable, "-m", "pytest", "-q", "--transitions", str(record)]
            subprocess.run([*command, *(arguments or PLAYED)], cwd=ROOT, check=False)  # noqa: S603 - our own tests
            taken = _recorded(record)
    if not taken:
        sys.stdout.write("Nothing was recorded: the page stays what it is.\n")
        return 1
    rows = best(taken, read())
    PAGE.write_text(render(rows))
    missing = sorted(set(legal()) - {row.move for row in rows})
    for machine, source, target in missing:
        sys.stdout.write(f"no test takes {machine} {source} -> {target}\n")
    return 1 if missing else 0


def _recorded(path: Path) -> list[Taken]:
    return [Taken(*json.loads(line)) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
