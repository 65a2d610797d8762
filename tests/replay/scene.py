"""Where recorded paths are played: the product with the real activities, in real time, with windows of seconds.

Nothing delivers Stripe's events here: a path says itself what is heard, and when.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from activities.stripe_gateway import StripeGateway
from models.database import Database
from models.states import BookingStatus, PaymentStatus, PayoutStatus
from tests.support.shop import Shop, open_shop
from tests.workflows.real import Control, Market, RealSaga, until
from tests.workflows.talk import Talk
from workflows.parking import Step
from workflows.search_attributes import ATTENTION_STEP

STARTED: Final = timedelta(seconds=-1)
MOMENT: Final = timedelta(seconds=3)
SOON: Final = timedelta(hours=2)
LATER: Final = timedelta(hours=48)
FAR_OFF: Final = timedelta(days=30)
"""Beyond any authorization."""

QUICK: Final[dict[str, Any]] = {"payout_hold": "PT0.5S"}
LONG: Final = "PT1H"
"""A hold that only ops end."""

PRICE: Final = 12_000
THIRD: Final = PRICE // 3

CAPTURE: Final = "/v1/payment_intents/*/capture"
CANCEL: Final = "/v1/payment_intents/*/cancel"
INTENTS: Final = "/v1/payment_intents"
TRANSFERS: Final = "/v1/transfers"
PAYOUTS: Final = "/v1/payouts"

AT_ONCE: Final = "pm_card_bypassPending"
"""Its funds are available as soon as it is charged."""
REFUSED_LATER: Final = "pm_card_chargeCustomerFail"
"""Can be kept, and is refused when it is charged."""

Path = Callable[["Scene"], Awaitable[Talk]]
"""Plays a way to go, and answers with whose history is to be kept."""


@dataclass(frozen=True)
class Scene:
    """Where paths are played."""

    market: Market
    control: Control
    database: Database
    gateway: StripeGateway

    async def shop(self, duration_minutes: int = 60, **policy: Any) -> Shop:
        return await open_shop(
            self.database, self.gateway, duration_minutes=duration_minutes, policy=QUICK | policy
        )

    async def begin(self, starts_in: timedelta = LATER, **policy: Any) -> RealSaga:
        """Started as the API does, and waiting for the client's payment."""
        shop = await self.shop(**policy)
        saga, opened = await self.market.open_at_once(shop, await self.market.request(shop, starts_in))
        assert opened.refusal is None
        return saga

    async def paid(self, starts_in: timedelta = LATER, card: str = "pm_card_visa", **policy: Any) -> RealSaga:
        """The client has done its part, and a webhook's signal alone says so."""
        saga = await self.begin(starts_in, **policy)
        await saga.pays(card)
        await saga.stripe_says()
        return saga

    async def confirmed(
        self, starts_in: timedelta = LATER, card: str = "pm_card_visa", **policy: Any
    ) -> RealSaga:
        saga = await self.paid(starts_in, card, **policy)
        await becomes(saga, BookingStatus.CONFIRMED)
        return saga

    async def held(self, **policy: Any) -> RealSaga:
        """Completed; the payout waits until ops release it."""
        saga = await self.confirmed(STARTED, payout_hold=LONG, **policy)
        await saga.complete()
        return saga

    @asynccontextmanager
    async def short_authorizations(self, window: str) -> AsyncIterator[None]:
        """Whoever pays meanwhile is authorized for so long only."""
        await self.control.ask("POST", "/settings", authorization_window=window)
        try:
            yield
        finally:
            await self.control.ask("POST", "/settings", authorization_window="P7D")


async def becomes(saga: RealSaga, status: BookingStatus) -> None:
    async def there() -> bool:
        return (await saga.shop.booking(saga.booking_id)).status is status

    await until(there)
    await saga.quiet()


async def payment_becomes(saga: RealSaga, status: PaymentStatus) -> None:
    async def there() -> bool:
        return (await saga.shop.payment(saga.booking_id)).status is status

    await until(there)


async def payout_becomes(saga: RealSaga, status: PayoutStatus) -> None:
    async def there() -> bool:
        return (await saga.shop.payout(saga.booking_id)).status is status

    await until(there)


async def bank_has(saga: RealSaga, status: str, after: str = "") -> str:
    """Until the provider's bank has said so of a payout other than `after`; nobody is told. Its id."""

    async def said() -> str | None:
        account = {"stripe_account": saga.shop.account_id}
        payouts = await saga.sdk.v1.payouts.list_async({"limit": 1}, account)  # type: ignore[arg-type]
        return next((each.id for each in payouts.data if each.status == status and each.id != after), None)

    payout_id = await until(said)
    assert payout_id is not None
    return payout_id


async def bank_says(saga: RealSaga, status: str, to: Talk | None = None, after: str = "") -> str:
    """The same, and a webhook brings it."""
    payout_id = await bank_has(saga, status, after)
    await (to or saga).money_moves(f"evt_payout_{status}")
    return payout_id


async def starts(saga: RealSaga) -> None:
    """Wait for the session's start, and a moment for every clock to have seen it."""
    await saga.passes_until((await saga.shop.session_of(saga.booking_id)).starts_at)


async def parks(saga: RealSaga, step: Step) -> None:
    await saga.shows(ATTENTION_STEP, value=step)
    await saga.quiet()


async def ends(saga: RealSaga, status: BookingStatus, reason: str | None = None) -> RealSaga:
    """The path went where its name says."""
    ended = await saga.ends()
    assert (ended.status, ended.reason) == (status, reason), ended
    return saga


async def paid_out(saga: RealSaga) -> RealSaga:
    assert (await saga.shop.payout(saga.booking_id)).status is PayoutStatus.PAID
    return saga
