"""TCP ports of the loopback: which are free, which are taken."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack

from sandbox.errors import PortUnavailableError

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return that many different ports that nobody uses at this moment."""
    with ExitStack() as stack:
        # All are held until the last is found, or the system might name one twice.
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


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
