import asyncio
import io
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandbox.console import BACKLOG, Console
from sandbox.errors import ChildFailedError
from sandbox.leftovers import PidFiles, is_running
from sandbox.supervisor import Child, Supervisor, pause_after

ROOT = Path(__file__).parents[2]

WRITES_ITS_PID = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
print("here I am", flush=True)
time.sleep(600)
"""

IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + WRITES_ITS_PID

HAS_A_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]])
"""

RUNS_A_STACK = """
import asyncio, sys
from pathlib import Path
from sandbox.console import Console
from sandbox.supervisor import Child, Supervisor

async def main():
    run_dir = Path(sys.argv[1])
    pid = run_dir / "pid"
    async def ready(): return pid.exists() and bool(pid.read_text())
    argv = [sys.executable, "-c", sys.argv[2], str(pid)]
    await Supervisor(run_dir, Console()).start(Child(name="child", argv=argv, ready=ready, env={}, cwd=run_dir))
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - files and processes raise no events
            await asyncio.sleep(0.01)


def pid_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def is_alive(pid: int) -> bool:
    return is_running(pid, ["python", "-c"])


class Stage:
    """A supervisor on a directory of its own, with what its console showed."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.pid_file = run_dir / "pid"
        self.stream = io.BytesIO()
        self.console = Console(self.stream)
        self.supervisor = Supervisor(run_dir, self.console)

    def child(self, code: str, *arguments: str, grace: float = 10.0) -> Child:
        async def ready() -> bool:
            return pid_in(self.pid_file) > 0

        argv = [sys.executable, "-c", code, str(self.pid_file), *arguments]
        return Child(name="child", argv=argv, ready=ready, env={}, cwd=self.run_dir, grace=grace)

    def shown(self) -> str:
        self.console.flush()
        return self.stream.getvalue().decode()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    await stage.supervisor.stop()


async def test_a_dead_child_is_started_again_with_one_line_saying_so(stage: Stage) -> None:
    await stage.supervisor.start(stage.child(WRITES_ITS_PID))
    first = pid_in(stage.pid_file)
    stage.pid_file.unlink()
    os.kill(first, signal.SIGKILL)
    await until(lambda: pid_in(stage.pid_file) > 0)
    assert pid_in(stage.pid_file) != first
    assert stage.shown().count("child was ended by SIGKILL; starting it again now") == 1


async def test_what_a_child_says_is_shown_with_its_name_and_logged(stage: Stage) -> None:
    await stage.supervisor.start(stage.child(WRITES_ITS_PID))
    await until(lambda: "here I am" in stage.shown())
    assert "child      | here I am\n" in stage.shown()
    assert (stage.run_dir / "logs" / "child.log").read_text() == "here I am\n"


async def test_an_orderly_stop_leaves_nothing_behind(stage: Stage) -> None:
    await stage.supervisor.start(stage.child(WRITES_ITS_PID))
    await stage.supervisor.stop()
    assert not is_alive(pid_in(stage.pid_file))
    assert names_in(stage.run_dir / "pids") == []


async def test_a_stop_ends_the_stubborn_and_their_children_too(stage: Stage) -> None:
    await stage.supervisor.start(stage.child(HAS_A_CHILD, IGNORES_SIGTERM, grace=0.1))
    grandchild = pid_in(stage.pid_file)
    assert is_alive(grandchild)
    await stage.supervisor.stop()
    await until(lambda: not is_alive(grandchild))


async def test_a_child_that_never_becomes_ready_is_a_failed_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.supervisor.pause_after", lambda _deaths: 0.0)
    with pytest.raises(ChildFailedError, match=r"^child does not start: see .*child\.log\.$"):
        await stage.supervisor.start(stage.child("raise SystemExit('no')"))


async def test_a_program_that_is_not_there_is_a_failed_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.supervisor.pause_after", lambda _deaths: 0.0)

    async def never() -> bool:
        return False

    with pytest.raises(ChildFailedError):
        await stage.supervisor.start(
            Child(name="gone", argv=["/nonexistent"], ready=never, env={}, cwd=stage.run_dir)
        )


async def test_a_task_returns_its_lines_and_a_failed_one_says_why(stage: Stage) -> None:
    argv = [sys.executable, "-c", "print('one'); print('two')"]
    assert await stage.supervisor.run("task", argv, env={}, cwd=stage.run_dir) == ["one", "two"]
    argv = [sys.executable, "-c", "raise SystemExit('the reason')"]
    with pytest.raises(ChildFailedError, match="task exited with status 1: the reason"):
        await stage.supervisor.run("task", argv, env={}, cwd=stage.run_dir)


async def test_nothing_outlives_a_killed_stack(tmp_path: Path) -> None:
    stack = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNS_A_STACK, str(tmp_path), WRITES_ITS_PID, cwd=ROOT
    )
    await until(lambda: pid_in(tmp_path / "pid") > 0)
    stack.kill()
    await stack.wait()
    if sys.platform != "linux":  # nobody tells the children: the next start ends them
        assert PidFiles(tmp_path / "pids").end_leftovers() == ["child"]
    await until(lambda: not is_alive(pid_in(tmp_path / "pid")))


async def test_the_next_start_ends_what_was_left_behind(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = await asyncio.create_subprocess_exec(*argv)
    pids = PidFiles(tmp_path)
    pids.write("left", left.pid, argv, signal.SIGTERM)
    pids.write("reused", left.pid, ["another", "program"], signal.SIGTERM)
    (tmp_path / "torn.json").write_text('{"pid":')
    assert await asyncio.to_thread(pids.end_leftovers) == ["left"]
    assert await left.wait() == -signal.SIGTERM
    assert names_in(tmp_path) == []


def test_a_console_that_nobody_reads_stops_nobody() -> None:
    read = threading.Event()

    class Unread(io.BytesIO):
        def write(self, _: object) -> int:
            read.wait()
            return 0

    console = Console(Unread())
    for _ in range(BACKLOG + 2):
        console.say("child", "a line")
    read.set()


def test_pauses_grow_to_five_seconds() -> None:
    assert [pause_after(deaths) for deaths in range(1, 8)] == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
