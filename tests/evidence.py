"""Write docs/evidence.md: `python -m tests.evidence` runs everything in its large size, which takes more than an hour.

`python -m tests.evidence --from FILE...` takes what earlier runs recorded: `pytest --evidence=FILE` (lines) and
`python -m tests.chaos --json FILE` (one object).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.support.evidence_page import PAGE, ROOT, render, tally

LARGE: Final = {
    "HYPOTHESIS_PROFILE": "nightly",
    "KILL_SEEDS": "3",
    "KILL_WHOLE": "1",
    "E2E_ROUNDS": "3",
    "API_EXAMPLES": "25",
}
"""How much more of it is run than in every test run."""


def main(arguments: list[str]) -> int:
    """Run or read, write the page, and say whether anything failed."""
    if arguments[:1] == ["--from"]:
        return _write([Path(name) for name in arguments[1:]])
    with tempfile.TemporaryDirectory() as directory:
        tests, chaos = Path(directory) / "tests.jsonl", Path(directory) / "chaos.json"
        _run("pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "fault", f"--evidence={tests}")
        _run("tests.chaos", "--json", str(chaos))
        return _write([tests, chaos])


def _run(module: str, *arguments: str) -> None:
    """What fails is on the page."""
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **LARGE}, check=False)  # noqa: S603 - our own tests


def _write(files: list[Path]) -> int:
    records = [record for file in files if file.exists() for record in _records(file)]
    tallies = tally(record for record in records if "faults" in record)
    PAGE.write_text(render(tallies, [record for record in records if "faults" not in record]))
    wrong = sorted(fault for fault, its in tallies.items() if its.failed or not its.injected)
    for fault in wrong:
        sys.stdout.write(f"{fault}: {tallies[fault].failed} failed of {tallies[fault].injected}\n")
    return 1 if wrong else 0


def _records(file: Path) -> list[dict[str, Any]]:
    told = file.read_text()
    try:
        return [json.loads(told)]
    except ValueError:
        return [json.loads(line) for line in told.splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
