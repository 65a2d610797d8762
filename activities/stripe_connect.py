"""The Connect side of Stripe: providers' accounts, and the money that goes to and from them."""

from datetime import datetime
from typing import Any

import stripe

from activities import stripe_calls as calls
from activities.stripe_movements import Funds, PayoutObject, Reversal, Transfer
from activities.stripe_objects import Account
from activities.stripe_requests import CreatePayout, CreateReversal, CreateTransfer


class StripeConnect:
    """Reads and writes about connected accounts; a part of `StripeGateway`."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._v1 = client.v1

    # --- accounts ---------------------------------------------------------------------------

    async def retrieve_account(self, account_id: str) -> Account:
        """A provider's account as Stripe has it now."""
        return Account.read(await calls.read(self._v1.accounts.retrieve_async(account_id)))

    async def create_account(
        self, *, provider_id: str, email: str, country: str, manual_payouts: bool = False, key: str
    ) -> Account:
        """Make a connected account that can receive transfers."""
        schedule = {"interval": "manual"} if manual_payouts else {"interval": "daily"}
        params: Any = {
            "type": "express",
            "email": email,
            "country": country,
            "capabilities": {"transfers": {"requested": True}},
            "settings": {"payouts": {"schedule": schedule}},
            "metadata": {"provider_id": provider_id, "op": key},
        }
        return Account.read(await calls.write(self._v1.accounts.create_async(params, calls.once(key))))

    async def create_account_link(
        self, *, account_id: str, refresh_url: str, return_url: str, key: str
    ) -> str:
        """A URL where the provider finishes onboarding; it works once and for minutes."""
        params: Any = {
            "account": account_id,
            "refresh_url": refresh_url,
            "return_url": return_url,
            "type": "account_onboarding",
        }
        return str((await calls.write(self._v1.account_links.create_async(params, calls.once(key))))["url"])

    # --- transfers ----------------------------------------------------------------------------

    async def retrieve_transfer(self, transfer_id: str) -> Transfer:
        """A transfer."""
        return Transfer.read(await calls.read(self._v1.transfers.retrieve_async(transfer_id)))

    async def find_transfer(self, request: CreateTransfer, key: str) -> Transfer | None:
        """The transfer that the operation `key` made."""
        params = {"transfer_group": request.transfer_group}
        return await calls.find(self._v1.transfers.list_async, params, key, Transfer.read)

    async def create_transfer(self, request: CreateTransfer, *, key: str) -> Transfer:
        """Move money to a provider's account; `source_transaction` lets it wait for the funds."""
        asked = request.model_dump(exclude={"metadata"}, exclude_none=True)
        params: Any = {**asked, "metadata": request.tagged(key)}
        return Transfer.read(await calls.write(self._v1.transfers.create_async(params, calls.once(key))))

    async def reversals_of(self, transfer_id: str) -> list[Reversal]:
        """What came back of a transfer, whoever took it."""
        params: dict[str, Any] = {}
        pages = calls.everything(lambda given: self._reversals(transfer_id, given), params)
        return [Reversal.read(raw) async for raw in pages]

    async def find_reversal(self, request: CreateReversal, key: str) -> Reversal | None:
        """The reversal that the operation `key` made."""
        return await calls.find(
            lambda given: self._reversals(request.transfer, given), {}, key, Reversal.read
        )

    async def create_reversal(self, request: CreateReversal, *, key: str) -> Reversal:
        """Take money back from a provider's account."""
        params: Any = {"amount": request.amount, "metadata": request.tagged(key)}
        reverse = self._v1.transfers.reversals.create_async(request.transfer, params, calls.once(key))
        return Reversal.read(await calls.write(reverse))

    def _reversals(self, transfer_id: str, params: Any) -> Any:
        return self._v1.transfers.reversals.list_async(transfer_id, params)

    # --- balances and banks ---------------------------------------------------------------------

    async def funds_of(self, account_id: str, currency: str) -> Funds:
        """What a connected account has; may be below zero (TRAPS 31)."""
        options = calls.on_account(account_id)
        return Funds.read(await calls.read(self._v1.balance.retrieve_async({}, options)), currency)

    async def retrieve_payout(self, account_id: str, payout_id: str) -> PayoutObject:
        """A payout of a connected account to its bank."""
        options = calls.on_account(account_id)
        return PayoutObject.read(await calls.read(self._v1.payouts.retrieve_async(payout_id, {}, options)))

    async def find_payout(self, request: CreatePayout, key: str, since: datetime) -> PayoutObject | None:
        """The bank payout that the operation `key` made, created after `since`."""
        options = calls.on_account(request.account)
        return await calls.find(
            lambda given: self._v1.payouts.list_async(given, options),
            {"created": {"gte": int(since.timestamp())}},
            key,
            PayoutObject.read,
        )

    async def create_payout(self, request: CreatePayout, *, key: str) -> PayoutObject:
        """Send a connected account's money to its bank (manual schedule)."""
        params: Any = {
            "amount": request.amount,
            "currency": request.currency,
            "metadata": request.tagged(key),
        }
        options = calls.on_account(request.account, key)
        return PayoutObject.read(await calls.write(self._v1.payouts.create_async(params, options)))
