"""A booking stays cheap, and the page that says how cheap stays true."""

import pytest

from activities.stripe_gateway import StripeGateway
from models.database import Database
from tests.workflows.budget import MOST_ACTIONS, MOST_EVENTS, PAGE, Budget, measure, open_budget_shop, page
from tests.workflows.real import Market


@pytest.fixture(scope="module")
async def measured(dev_market: Market, database: Database, gateway: StripeGateway) -> Budget:
    return await measure(dev_market, await open_budget_shop(database, gateway))


async def test_the_happy_path_stays_within_its_budget(measured: Budget) -> None:
    assert measured.total <= MOST_EVENTS
    assert measured.total_actions <= MOST_ACTIONS


async def test_everything_that_is_counted_did_happen(measured: Budget) -> None:
    assert all(measured.actions.values())
    assert (measured.actions["workflow start"], measured.actions["update"], measured.actions["signal"]) == (
        1,
        2,
        2,
    )


async def test_the_page_states_the_measured_numbers(measured: Budget) -> None:
    assert PAGE.read_text() == page(measured), "run `python -m tests.workflows.budget` and look at the diff"
