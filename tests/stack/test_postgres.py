import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from sandbox import postgres
from sandbox.errors import PostgresUnavailableError


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_server_runs_in_utf8_and_keeps_its_data(directory: Path) -> None:
    async with postgres.running(directory, durable=False) as url:
        assert await ask(url, "SHOW server_encoding") == "UTF8"
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    async with postgres.running(directory, durable=False) as url:
        assert await ask(url, "SELECT answer FROM kept") == 42


async def test_a_stopped_server_is_gone(directory: Path) -> None:
    async with postgres.running(directory, durable=False) as url:
        pass
    with pytest.raises(OSError, match=r"refused|Connect"):
        await ask(url, "SELECT 1")


def test_a_directory_that_cannot_hold_data_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresUnavailableError, match=r"^Postgres [^\n]+$"):
        postgres.prepare(tmp_path / "file" / "data")


def test_programs_that_the_servers_user_cannot_reach_are_copied_with_their_libraries(tmp_path: Path) -> None:
    for part in ("pgserver/pginstall18/bin", "pgserver.libs"):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / "file").write_text(part)
    copy = postgres._copied(tmp_path / "pgserver")
    try:
        assert (copy / "pginstall18/bin/file").read_text() == "pgserver/pginstall18/bin"
        assert (copy.with_name("pgserver.libs") / "file").read_text() == "pgserver.libs"
        assert copy.parent.stat().st_mode & 0o005 == 0o005
        assert postgres._copied(tmp_path / "pgserver") == copy
    finally:
        shutil.rmtree(copy.parent)
