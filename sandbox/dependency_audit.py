"""Looks the locked dependencies up among the known vulnerabilities that PyPI lists.

What cannot be looked up is said, and is no failure: without its database, an audit knows nothing.
"""

import asyncio
import json
import sys
import venv
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
HOME: Final = ROOT / ".venv" / ".advisory"
"""pip-audit brings dependencies of its own, which nothing else here needs."""

PINNED: Final = "pip-audit==2.10.1"
AUDIT: Final = (
    *("--requirement", str(ROOT / "requirements.lock"), "--require-hashes", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off"),
)
SHOWN: Final = 5


@dataclass(frozen=True)
class Verdict:
    """What an audit says, as a sentence; `vulnerable` fails the run."""

    sentence: str
    vulnerable: bool = False


def verdict(report: Any) -> Verdict:
    """What pip-audit's report comes to: it calls it a success to have looked nothing up."""
    dependencies = report["dependencies"]
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    known = [each for each in dependencies if "skip_reason" not in each]
    if not known:
        return Verdict("The database of vulnerabilities could not be reached: nothing was audited.")
    found = [
        f"{each['name']} {each['version']}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'no version'}"
        for each in known
        for one in each["vulns"]
    ]
    lines = [f"{len(known)} dependencies were audited, {len(found)} vulnerabilities are known.", *found]
    if unknown:
        more = ", …" if len(unknown) > SHOWN else ""
        lines.append(f"{len(unknown)} could not be looked up: {', '.join(unknown[:SHOWN])}{more}.")
    return Verdict("\n".join(lines), vulnerable=bool(found))


async def audit() -> Verdict:
    """Install pip-audit where only it lives, and ask it."""
    program = HOME / "bin" / "pip-audit"
    if not program.exists():
        venv.create(HOME, with_pip=True, clear=True)
        status, _, complaint = await _run(str(HOME / "bin" / "python"), "-m", "pip", "install", "-q", PINNED)
        if status != 0:
            return Verdict(f"pip-audit could not be installed: nothing was audited.\n{complaint}")
    _, answer, complaint = await _run(str(program), *AUDIT)
    try:
        return verdict(json.loads(answer))
    except ValueError:
        last = complaint.strip().rpartition("\n")[2]
        return Verdict(f"The database of vulnerabilities could not be reached: nothing was audited.\n{last}")


async def _run(*argv: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    answer, complaint = await process.communicate()
    return await process.wait(), answer.decode(), complaint.decode()


def main() -> int:
    """Run from the command line; 1 when something is known to be vulnerable."""
    found = asyncio.run(audit())
    print(found.sentence)  # noqa: T201 - its purpose
    return int(found.vulnerable)


if __name__ == "__main__":
    sys.exit(main())
