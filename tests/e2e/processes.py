"""The machine's processes, as far as a stack is concerned: who descends from whom, and who is still there."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Proc:
    """A process that lives; a zombie does not."""

    pid: int
    parent: int
    group: int
    command: str


def table() -> list[Proc]:
    """Everything that runs now."""
    return _from_proc() if sys.platform == "linux" else _from_ps()


def descendants(pid: int) -> list[Proc]:
    """The process's children, their children, and so on."""
    everything = table()
    found: list[Proc] = []
    parents = {pid}
    while parents:
        born = [each for each in everything if each.parent in parents]
        found += born
        parents = {each.pid for each in born}
    return found


def left_of(processes: list[Proc]) -> list[Proc]:
    """Which members of the processes' groups still live; a group's number is not used again while one does."""
    groups = {each.group for each in processes}
    return [each for each in table() if each.group in groups]


def part(stack: int, words: str) -> Proc:
    """The child of a stack that runs a program with these words in its command line."""
    (found,) = [each for each in descendants(stack) if each.parent == stack and words in each.command]
    return found


def kill(process: Proc) -> None:
    """End it without a word of warning."""
    os.kill(process.pid, signal.SIGKILL)


def _from_proc() -> list[Proc]:
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything, parentheses too.
            state, parent, group, *_ = (directory / "stat").read_text().rpartition(")")[2].split()
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state not in "ZX":
            found.append(Proc(int(directory.name), int(parent), int(group), command))
    return found


def _from_ps() -> list[Proc]:
    argv = ["ps", "-A", "-ww", "-o", "pid=,ppid=,pgid=,stat=,command="]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True)  # noqa: S603 - fixed words
    rows = (line.split(maxsplit=4) for line in shown.stdout.splitlines())
    return [
        Proc(int(pid), int(parent), int(group), command)
        for pid, parent, group, state, command in (row for row in rows if len(row) == 5)
        if not state.startswith("Z")
    ]
