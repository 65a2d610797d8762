"""What there is at Stripe, page by page: for comparing it with our books. Lists are consistent, searches are not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import stripe
from pydantic import BaseModel, ConfigDict

from activities.stripe_objects import Raw

PAGE: Final = 100
TYPES_AT_ONCE: Final = 20
"""Stripe takes no more in one list of events."""


class Listed(BaseModel):
    """A money object at Stripe: amounts in minor units, `moved_at` when its money moved."""

    model_config = ConfigDict(frozen=True)

    id: str
    amount: int
    currency: str
    status: str
    moved_at: datetime
    metadata: dict[str, str]
    payment_intent: str | None = None
    transfer_group: str | None = None
    reversed: int = 0

    @property
    def is_live(self) -> bool:
        """A refund or payout that has not failed."""
        return self.status not in ("failed", "canceled")


class StripeLists:
    """Reads lists; every failure leaves as a `StripeFailure`."""

    def __init__(
        self, v1: stripe.V1Services, read: Callable[[Awaitable[stripe.StripeObject]], Awaitable[Raw]]
    ) -> None:
        self._v1 = v1
        self._read = read

    async def events(
        self, types: Sequence[str], since: datetime, account: str | None = None
    ) -> AsyncIterator[Raw]:
        """The platform's events of these types, or a connected account's; Stripe keeps 30 days of them."""
        for start in range(0, len(types), TYPES_AT_ONCE):
            params = {"created": _since(since), "types": list(types[start : start + TYPES_AT_ONCE])}
            async for raw in self._pages(self._v1.events.list_async, params, account):
                yield raw

    async def captures(self, since: datetime) -> AsyncIterator[Listed]:
        """Charges made since then whose money was taken."""
        params = {"created": _since(since), "expand": ["data.balance_transaction"]}
        async for raw in self._pages(self._v1.charges.list_async, params):
            if raw["captured"] and raw["amount_captured"]:
                yield _listed(raw, amount=raw["amount_captured"], moved=_moved(raw))

    async def refunds(
        self, *, since: datetime | None = None, payment_intent: str | None = None
    ) -> AsyncIterator[Listed]:
        """Refunds that moved, or were to move, a balance; letting go of an authorization does not."""
        params: dict[str, Any] = {"created": _since(since)} if since else {"payment_intent": payment_intent}
        async for raw in self._pages(self._v1.refunds.list_async, params):
            if raw["balance_transaction"] or raw["status"] != "succeeded":
                yield _listed(raw, amount=raw["amount"], moved=raw["created"])

    async def transfers(self, since: datetime) -> AsyncIterator[Listed]:
        """Transfers made since then."""
        async for raw in self._pages(self._v1.transfers.list_async, {"created": _since(since)}):
            yield _listed(raw, amount=raw["amount"], moved=raw["created"])

    async def payouts(self, account: str, since: datetime) -> AsyncIterator[Listed]:
        """A connected account's payouts made since then."""
        params = {"created": _since(since)}
        async for raw in self._pages(self._v1.payouts.list_async, params, account):
            yield _listed(raw, amount=raw["amount"], moved=raw["created"])

    async def transfer(self, transfer_id: str) -> Listed:
        """One transfer."""
        raw = await self._read(self._v1.transfers.retrieve_async(transfer_id))
        return _listed(raw, amount=raw["amount"], moved=raw["created"])

    async def refund(self, refund_id: str) -> Listed:
        """One refund."""
        raw = await self._read(self._v1.refunds.retrieve_async(refund_id))
        return _listed(raw, amount=raw["amount"], moved=raw["created"])

    async def capture(self, charge_id: str) -> Listed:
        """One charge, with what was captured of it."""
        params: Any = {"expand": ["balance_transaction"]}
        raw = await self._read(self._v1.charges.retrieve_async(charge_id, params))
        return _listed(raw, amount=raw["amount_captured"], moved=_moved(raw))

    async def _pages(
        self, list_page: Callable[..., Awaitable[Any]], params: dict[str, Any], account: str | None = None
    ) -> AsyncIterator[Raw]:
        options = {"stripe_account": account} if account else {}
        page = await self._read(list_page({**params, "limit": PAGE}, options))
        while True:
            for raw in page["data"]:
                yield raw
            if not page["has_more"]:
                return
            cursor = {"limit": PAGE, "starting_after": page["data"][-1]["id"]}
            page = await self._read(list_page({**params, **cursor}, options))


def _since(instant: datetime) -> dict[str, int]:
    return {"gte": int(instant.timestamp())}


def _moved(charge: Raw) -> int:
    """When a charge was captured, which may be long after it was made."""
    transaction = charge["balance_transaction"]
    return int(transaction["created"] if isinstance(transaction, dict) else charge["created"])


def _listed(raw: Raw, *, amount: int, moved: int) -> Listed:
    return Listed(
        id=raw["id"],
        amount=amount,
        currency=raw["currency"],
        status=raw.get("status") or "",
        moved_at=datetime.fromtimestamp(moved, UTC),
        metadata=raw["metadata"] or {},
        payment_intent=raw.get("payment_intent"),
        transfer_group=raw.get("transfer_group"),
        reversed=raw.get("amount_reversed") or 0,
    )
