"""Reading a payment at Stripe: nothing is recorded that is not the payment we asked for."""

from typing import Final

from activities.keeping import Keeping
from activities.payment_tasks import customer_of
from activities.records import Records
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from activities.verification import former_booking, verify, verify_captured, verify_setup
from models.database import Database
from models.states import PaymentStatus
from models.transitions import Change

GIVEN: Final = "succeeded"
"""Stripe's status of a SetupIntent whose card is kept."""


class PaymentReading:
    """Reads the PaymentIntent, or the SetupIntent while there is none, and records what it says."""

    def __init__(self, database: Database, gateway: StripeGateway, keeping: Keeping) -> None:
        self._database = database
        self._gateway = gateway
        self._keeping = keeping

    async def read(self, rows: Records, context: Change) -> bool:
        """Record what Stripe says now; True when the last card was refused.

        Raises:
            PaymentMismatch: the payment is not the one that the booking asked for.
        """
        intent = await self._keeping.intent(rows.payment)
        if intent is not None:
            await self.accept(rows, intent, context)
            return intent.refused
        return await self.read_setup(rows, context) == "refused"

    async def accept(self, rows: Records, intent: Intent, context: Change) -> None:
        """Record an intent that is the one we asked for.

        Raises:
            PaymentMismatch: it is not.
        """
        former = await self._database.run(lambda session: former_booking(session, rows.booking, intent))
        verify(intent, rows.payment, livemode=self._gateway.livemode, former=former)
        verify_captured(intent, rows.booking, rows.payment)
        await self._keeping.record(rows.payment, intent, context)

    async def read_setup(self, rows: Records, context: Change) -> str | None:
        """Record what the SetupIntent says, and answer its status; `refused` for a refused card.

        Raises:
            PaymentMismatch: it is not the one that we asked for.
        """
        payment = rows.payment
        if payment.setup_intent_id is None or payment.status is not PaymentStatus.PENDING:
            return None
        setup = await self._gateway.retrieve_setup(payment.setup_intent_id)
        customer = await self._database.run(lambda session: customer_of(session, rows.booking))
        verify_setup(setup, payment, customer, livemode=self._gateway.livemode)
        await self._keeping.record_setup(payment, setup, context)
        return "refused" if setup.refused else setup.status
