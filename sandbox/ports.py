"""TCP ports of the loopback: which are free, which are taken."""

import random
import socket
from collections.abc import Mapping

from sandbox.errors import PortUnavailableError

HOST = "127.0.0.1"
QUIET = range(15_000, 32_000)
"""Where neither Linux (from 32768) nor macOS (from 49152) finds ports for outgoing connections."""


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return that many different ports that nobody uses at this moment.

    They lie below those that the system gives to outgoing connections: one of these could take the port while the
    server that it was meant for starts, or starts again.
    """
    found: list[int] = []
    for port in random.sample(QUIET, len(QUIET)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def claim(wanted: Mapping[str, int]) -> dict[str, int]:
    """Decide every port before anything is started.

    `wanted` maps the environment variable that chooses a port to its value; 0 becomes a free port, anything else is
    checked and kept.
    """
    owners: dict[int, str] = {}
    for variable, port in wanted.items():
        if port == 0:
            continue
        if port in owners:
            raise PortUnavailableError(
                f"Port {port} is given to both {owners[port]} and {variable}: change one."
            )
        owners[port] = variable
        _require_free(variable, port)
    free = iter(free_ports(list(wanted.values()).count(0)))
    return {variable: port or next(free) for variable, port in wanted.items()}


def _require_free(variable: str, port: int) -> None:
    with socket.socket() as probe, socket.socket() as caller:
        # What lingers in TIME_WAIT is no obstacle to a server, so it must be none to this probe.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise PortUnavailableError(
                f"Port {port} is reserved to the system: set {variable} to one from 1024 on (0 picks a free one)."
            ) from error
        except OSError as error:
            raise _in_use(variable, port) from error
        # macOS lets us bind beside a server that listens on every address.
        if caller.connect_ex((HOST, port)) == 0:
            raise _in_use(variable, port)


def _in_use(variable: str, port: int) -> PortUnavailableError:
    return PortUnavailableError(
        f"Port {port} is in use: stop what uses it, or set {variable} to another port (0 picks a free one)."
    )
