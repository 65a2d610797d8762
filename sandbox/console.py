"""What the stack's terminal shows: every line with the name of who said it."""

import os
import queue
import sys
import threading
import time
from io import FileIO
from typing import BinaryIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""ANSI foreground colours, handed out in order of appearance."""

BACKLOG = 20_000
"""Lines that may wait for a slow reader; what comes on top is not shown."""


class Console:
    """Writes lines from a thread of its own.

    Whoever started us may never read our output. A full pipe must not stop the event loop, and with it everything
    that we supervise, so lines that find no room are dropped: the log files have them all.
    """

    def __init__(self, stream: BinaryIO | FileIO | None = None) -> None:
        # Not through sys.stdout: its buffer has a lock, and a thread stuck in it makes Python abort instead of exit.
        self._stream = stream or FileIO(sys.stdout.fileno(), "wb", closefd=False)
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}
        self._lines: queue.Queue[str] = queue.Queue(BACKLOG)
        threading.Thread(target=self._write, name="console", daemon=True).start()

    def say(self, name: str, line: str) -> None:
        """Show a line of `name`."""
        label = f"{name:<10} |"
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            label = f"\x1b[{colour}m{label}\x1b[0m"
        self.show(f"{label} {line}")

    def show(self, text: str) -> None:
        """Show text as it is."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            return

    def flush(self, patience: float = 1.0) -> None:
        """Wait until all is written, at most `patience` seconds."""
        deadline = time.monotonic() + patience
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.005)

    def _write(self) -> None:
        while True:
            text = self._lines.get()
            try:
                self._stream.write(f"{text}\n".encode())
            except OSError:
                return  # the terminal is gone; the log files go on
            finally:
                self._lines.task_done()
