"""The directory that one stack keeps its files in, and holds while it runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import AlreadyRunningError, ConfigurationError


@contextmanager
def sole_owner(run_dir: Path) -> Iterator[None]:
    """Hold the run directory, made if missing; two stacks in one would fight over its files."""
    try:
        if not run_dir.exists():
            run_dir.mkdir(parents=True)
            # Whoever runs Postgres has to get through, whatever our umask; listing it is not needed.
            run_dir.chmod(0o711)
        lock = (run_dir / "lock").open("a+")
    except OSError as error:
        raise ConfigurationError(f"RUN_DIR={run_dir} cannot be used: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunningError(
                f"A stack runs on {run_dir} already (process {lock.read().strip()}): "
                "stop it, or set RUN_DIR to have another beside it."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)
