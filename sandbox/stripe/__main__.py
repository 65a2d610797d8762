"""`python -m sandbox.stripe`: the sandbox as a process. SIGTERM or Ctrl-C stops it."""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from sandbox.stripe.server import running
from sandbox.stripe.settings import Settings, duration

DEFAULT_PORT = 12111


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe", description="A stand-in for Stripe's API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one")
    parser.add_argument("--database", type=Path, default=Path(".run/stripe.sqlite"))
    parser.add_argument("--secret-key", default=Settings.secret_key)
    parser.add_argument("--publishable-key", default=Settings.publishable_key)
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    settings = Settings(options.secret_key, options.publishable_key)
    if window := os.environ.get("AUTHORIZATION_WINDOW"):
        settings = replace(settings, authorization_window=duration(window))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    place = {"host": options.host, "port": options.port}
    async with running(settings, database=options.database, **place) as sandbox:
        sys.stdout.write(f"sandbox Stripe listening on {sandbox.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Run; a port that is taken or a malformed window is one sentence and exit code 1."""
    options = arguments()
    try:
        asyncio.run(serve(options))
    except OSError as error:
        sys.stderr.write(f"sandbox Stripe cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"AUTHORIZATION_WINDOW: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
