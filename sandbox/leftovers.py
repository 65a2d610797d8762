"""Pid files, and the end of what a killed stack left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.errors import LeftoverError

PATIENCE = 10.0
"""Seconds that a leftover gets to go, asked first, then killed."""


class PidFiles:
    """One small file per child: enough to recognize it again, should nobody be left to wait for it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name: str, pid: int, argv: Sequence[str], stop_signal: signal.Signals) -> None:
        """Remember a child that was just started."""
        draft = self._path(name).with_suffix(".draft")
        draft.write_text(json.dumps({"pid": pid, "argv": list(argv), "signal": stop_signal.name}))
        draft.rename(self._path(name))

    def forget(self, name: str) -> None:
        """Forget a child that has ended."""
        self._path(name).unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End every remembered process that still runs, last started first, and return their names."""
        ended = []
        for path in sorted(
            self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True
        ):
            with suppress(ValueError, KeyError):  # half a file, written as the power went
                record = json.loads(path.read_text())
                if is_running(record["pid"], record["argv"]):
                    _end(path.stem, record)
                    ended.append(path.stem)
            path.unlink()
        return ended

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def is_running(pid: int, argv: Sequence[str]) -> bool:
    """Tell whether the process is there and still the one that was started as `argv`: pids are used again.

    A zombie has no command line, and so counts as gone.
    """
    # The program's own path may read differently, through links and framework builds; its arguments do not.
    return " ".join(argv[1:] or argv).strip() in _command_line(pid)


def _command_line(pid: int) -> str:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(  # noqa: S603 - a number of our own
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - where it is differs between systems
        check=False,
        capture_output=True,
        text=True,
    )
    return shown.stdout


def _end(name: str, record: dict[str, Any]) -> None:
    pid, argv = record["pid"], record["argv"]
    try:
        for signum in (signal.Signals[record["signal"]], signal.SIGKILL):
            os.kill(pid, signum)
            if _ends(pid, argv):
                return
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LeftoverError(
            f"The process {pid} ({name}) of an earlier stack still runs and belongs to another user: end it first."
        ) from error
    raise LeftoverError(f"The process {pid} ({name}) of an earlier stack does not end: end it first.")


def _ends(pid: int, argv: Sequence[str]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while is_running(pid, argv):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
