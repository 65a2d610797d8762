"""The kinds of write we make, each with its look-up (DESIGN section 4)."""

from datetime import datetime

from activities.errors import Failure, PaymentMismatch, StripeFailure
from activities.operations import Write
from activities.stripe_gateway import StripeGateway
from activities.stripe_movements import PayoutObject, RefundObject, Reversal, Transfer
from activities.stripe_objects import Customer, Intent, Setup
from activities.stripe_requests import (
    CancelIntent,
    CancelSetup,
    CaptureIntent,
    ConfirmIntent,
    CreateCustomer,
    CreateIntent,
    CreatePayout,
    CreateRefund,
    CreateReversal,
    CreateSetup,
    CreateTransfer,
)


class StripeWrites:
    """Every money operation of the product, ready to be performed."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway
        self.customer = Write("customer", CreateCustomer, self._create_customer, gateway.find_customer)
        self.intent = Write(
            "intent", CreateIntent, self._create_intent, gateway.find_intent, self._adopt_intent
        )
        self.confirm = Write("confirm", ConfirmIntent, self._confirm, self._find_confirmed)
        self.setup = Write("setup", CreateSetup, self._create_setup, gateway.find_setup, self._adopt_setup)
        self.cancel_setup = Write("cancel_setup", CancelSetup, self._cancel_setup, self._find_cancelled_setup)
        self.capture = Write("capture", CaptureIntent, self._capture, self._find_captured)
        self.cancel = Write("cancel", CancelIntent, self._cancel, self._find_cancelled)
        self.refund = Write("refund", CreateRefund, self._refund, self._find_refund)
        self.transfer = Write(
            "transfer", CreateTransfer, self._transfer, self._find_transfer, self._adopt_transfer
        )
        self.reversal = Write("reversal", CreateReversal, self._reverse, self._find_reversal)
        self.bank_payout = Write("bank_payout", CreatePayout, self._pay_out, gateway.find_payout)

    async def _create_customer(self, request: CreateCustomer, key: str) -> Customer:
        return await self._gateway.create_customer(request, key=key)

    async def _create_intent(self, request: CreateIntent, key: str) -> Intent:
        return await self._gateway.create_intent(request, key=key)

    async def _adopt_intent(self, request: CreateIntent, intent_id: str) -> Intent | None:
        intent = await self._gateway.retrieve_intent(intent_id)
        same = (intent.amount, intent.currency, intent.customer) == (
            request.amount,
            request.currency,
            request.customer,
        )
        ours = intent.metadata.get("booking_id") == request.metadata.get("booking_id")
        return intent if same and ours else None

    async def _confirm(self, request: ConfirmIntent, key: str) -> Intent:
        """Confirm, and read what has become of it.

        An answer that Stripe had stored under the key says what was true then; the intent may have been
        cancelled since.
        """
        await self._gateway.confirm_intent(request, key=key)
        try:
            return await self._gateway.retrieve_intent(request.payment_intent)
        except StripeFailure as unread:
            raise StripeFailure(
                Failure.STRIPE_INDETERMINATE, str(unread), code=unread.code, retry_after=unread.retry_after
            ) from None

    async def _find_confirmed(self, request: ConfirmIntent, _key: str, _since: datetime) -> Intent | None:
        """An intent that stands is confirmed, by us or by the client who was asked to."""
        intent = await self._gateway.retrieve_intent(request.payment_intent)
        return intent if intent.status in ("requires_capture", "succeeded") else None

    async def _create_setup(self, request: CreateSetup, key: str) -> Setup:
        return await self._gateway.create_setup(request, key=key)

    async def _adopt_setup(self, request: CreateSetup, setup_id: str) -> Setup | None:
        setup = await self._gateway.retrieve_setup(setup_id)
        ours = setup.metadata.get("booking_id") == request.metadata.get("booking_id")
        return setup if ours and setup.customer == request.customer else None

    async def _cancel_setup(self, request: CancelSetup, key: str) -> Setup:
        return await self._gateway.cancel_setup(request, key=key)

    async def _find_cancelled_setup(self, request: CancelSetup, _key: str, _since: datetime) -> Setup | None:
        setup = await self._gateway.retrieve_setup(request.setup_intent)
        return setup if setup.status == "canceled" else None

    async def _capture(self, request: CaptureIntent, key: str) -> Intent:
        return await self._gateway.capture_intent(request, key=key)

    async def _find_captured(self, request: CaptureIntent, _key: str, _since: datetime) -> Intent | None:
        """A captured intent is done, whoever captured it (TRAPS 4); another amount is a mismatch."""
        intent = await self._gateway.retrieve_intent(request.payment_intent)
        if intent.status != "succeeded":
            return None
        if intent.amount_received != request.amount:
            raise PaymentMismatch(
                f"{intent.id} was captured for {intent.amount_received}, not for {request.amount}"
            )
        return intent

    async def _cancel(self, request: CancelIntent, key: str) -> Intent:
        return await self._gateway.cancel_intent(request, key=key)

    async def _find_cancelled(self, request: CancelIntent, _key: str, _since: datetime) -> Intent | None:
        intent = await self._gateway.retrieve_intent(request.payment_intent)
        return intent if intent.status == "canceled" else None

    async def _refund(self, request: CreateRefund, key: str) -> RefundObject:
        return await self._gateway.create_refund(request, key=key)

    async def _find_refund(self, request: CreateRefund, key: str, _since: datetime) -> RefundObject | None:
        return await self._gateway.find_refund(request, key)

    async def _transfer(self, request: CreateTransfer, key: str) -> Transfer:
        return await self._gateway.create_transfer(request, key=key)

    async def _find_transfer(self, request: CreateTransfer, key: str, _since: datetime) -> Transfer | None:
        return await self._gateway.find_transfer(request, key)

    async def _adopt_transfer(self, request: CreateTransfer, transfer_id: str) -> Transfer | None:
        found = await self._gateway.retrieve_transfer(transfer_id)
        asked = (request.amount, request.currency, request.destination, request.transfer_group)
        same = (found.amount, found.currency, found.destination, found.transfer_group) == asked
        return found if same and not found.amount_reversed else None

    async def _reverse(self, request: CreateReversal, key: str) -> Reversal:
        return await self._gateway.create_reversal(request, key=key)

    async def _find_reversal(self, request: CreateReversal, key: str, _since: datetime) -> Reversal | None:
        return await self._gateway.find_reversal(request, key)

    async def _pay_out(self, request: CreatePayout, key: str) -> PayoutObject:
        return await self._gateway.create_payout(request, key=key)
