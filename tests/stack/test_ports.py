import socket

import pytest

from sandbox.errors import PortUnavailableError
from sandbox.ports import claim, free_port, free_ports


def test_a_port_in_use_is_one_sentence_that_names_it_and_its_variable() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortUnavailableError) as caught:
        claim({"API_PORT": port})
    assert str(caught.value) == (
        f"Port {port} is in use: stop what uses it, or set API_PORT to another port (0 picks a free one)."
    )


def test_a_port_given_twice_is_refused() -> None:
    port = free_port()
    with pytest.raises(PortUnavailableError, match=f"Port {port} is given to both API_PORT and MAIL_PORT"):
        claim({"API_PORT": port, "MAIL_PORT": port})


def test_zero_picks_different_free_ports_and_others_are_kept() -> None:
    port = free_port()
    claimed = claim({"API_PORT": port, "MAIL_PORT": 0, "STRIPE_PORT": 0})
    assert claimed["API_PORT"] == port
    assert len({0, *claimed.values()}) == 4
    assert len(set(free_ports(20))) == 20
