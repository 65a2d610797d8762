"""What operators see of a booking in the Temporal UI: current details and search attributes."""

from datetime import datetime

from temporalio import workflow
from temporalio.common import TypedSearchAttributes

from models.money import display
from workflows import search_attributes
from workflows.contracts import BookingState
from workflows.parking import ACTIONS, Action, Step


class Console:
    """Keeps the UI in step with the booking; costs an action only when something changed."""

    def __init__(self) -> None:
        self._shown: TypedSearchAttributes | None = None

    def show(self, booking: BookingState | None, attention: str | None = None) -> None:
        """Upsert the search attributes that changed."""
        if self._shown is None:
            self._shown = workflow.info().typed_search_attributes
        wanted = search_attributes.describe(booking, attention)
        if updates := search_attributes.changes(self._shown, wanted):
            workflow.upsert_search_attributes(updates)
        self._shown = self._shown.updated(*wanted)

    def stands(self, booking: BookingState) -> None:
        """Say where the booking stands, until it waits for something."""
        workflow.set_current_details(f"**{booking.status}**\n\n{_facts(booking)}")

    def waiting(
        self,
        booking: BookingState,
        what: str,
        until: datetime,
        can: str,
        question: tuple[Step, str] | None = None,
    ) -> None:
        """Say what the booking waits for, until when, and what ops can do now; an open question first."""
        asked = f"{_asked(*question)}\n\n" if question else ""
        workflow.set_current_details(
            f"{asked}**{booking.status}** · waiting for {what} until {until:%Y-%m-%d %H:%M:%S} UTC\n\n"
            f"{_facts(booking)}\n\nOps can: {can}"
        )

    def parked(self, booking: BookingState | None, step: Step, message: str, retry_at: datetime) -> None:
        """Say what broke and what to send."""
        actions = ", ".join(sorted(ACTIONS[step]))
        workflow.set_current_details(
            f"**ATTENTION** · step `{step}` is parked\n\n{message}\n\n"
            f"{_facts(booking) if booking else 'No seat has been taken yet.'}\n\n"
            f'Send update `resolve` with `step="{step}"`, `action` one of {actions}, an actor and a reason; '
            f"or signal `retry`. Tried again by itself at {retry_at:%Y-%m-%d %H:%M:%S} UTC."
        )

    def asked(self, booking: BookingState, step: Step, message: str) -> None:
        """Say what people disagree about, and what ops can decide."""
        workflow.set_current_details(f"{_asked(step, message)}\n\n{_facts(booking)}")

    def ended(self, booking: BookingState | None) -> None:
        """Say how it ended."""
        if booking is None:
            workflow.set_current_details("No seat was taken.")
            return
        reason = f" ({booking.status_reason})" if booking.status_reason else ""
        workflow.set_current_details(f"**{booking.status}**{reason}\n\n{_facts(booking)}")


def _asked(step: Step, message: str) -> str:
    actions = ", ".join(sorted(ACTIONS[step]))
    part = "; to give back a part, `amount` in minor units" if Action.REFUND in ACTIONS[step] else ""
    return (
        f"**ATTENTION** · `{step}` waits for ops\n\n{message}\n\n"
        f'Send update `resolve` with `step="{step}"`, `action` one of {actions}, an actor and a reason{part}.'
    )


def _facts(booking: BookingState) -> str:
    payout = "none"
    if booking.payout_status is not None and booking.payout_amount is not None:
        payout = f"{display(booking.payout_amount, booking.currency)} {booking.payout_status}"
    return (
        f"- price {display(booking.amount, booking.currency)}, payment {booking.payment_status}\n"
        f"- session {booking.starts_at:%Y-%m-%d %H:%M} to {booking.ends_at:%H:%M} UTC, "
        f"{booking.session_status}\n"
        f"- payout {payout}"
    )
