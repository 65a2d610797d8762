"""Proves the migrations on a database that is thrown away: they build what the models say, and can be taken back."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from sandbox import postgres

ROOT = Path(__file__).parents[1]

STEPS = (("upgrade", "head"), ("check",), ("downgrade", "base"), ("upgrade", "head"))


async def check() -> int:
    """Run Alembic's steps one after another and return the exit code of the first that fails, or 0."""
    directory = Path(tempfile.mkdtemp(prefix="alembic-check-"))
    try:
        async with postgres.running(directory, durable=False) as url:
            for step in STEPS:
                if status := await _alembic(step, url):
                    return status
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


async def _alembic(step: tuple[str, ...], url: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alembic", *step, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}
    )
    return await process.wait()


def main() -> int:
    """Run from the command line."""
    return asyncio.run(check())
