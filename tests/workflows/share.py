"""The steps of the provider's share, played in memory: held, frozen, transferred, sent to the bank, taken back."""

from dataclasses import dataclass

from models import holds
from models.books import recovery
from models.states import PayoutStatus
from tests.workflows.rows import Rows
from tests.workflows.stage import broken
from workflows.contracts import BookingState, Do
from workflows.orders import ChangeHold, Contest, HoldAction, Judge


@dataclass
class Share(Rows):
    """What the provider gets, and when."""

    bank_attempts: int = 0

    def mirror(self, step: Do) -> BookingState:
        if self.books.captured:
            self.catch_up()
            self.follow(step.at)
            self._hear_from_bank(step)
        return self.booking

    # --- the hold -------------------------------------------------------------------------------

    def contest(self, step: Contest) -> BookingState:
        if not self.booking.objected and self.booking.payout_status in holds.WAITING:
            self.update(objected=True, objected_at=step.at)
            self.follow(step.at)
        return self.booking

    def change_hold(self, step: ChangeHold) -> BookingState:
        if self.booking.payout_status is not PayoutStatus.HELD:
            return self.booking
        until = step.order.until if step.order.action is HoldAction.EXTEND else step.at
        return self.update(payout_due_at=until)

    def judge(self, step: Judge) -> BookingState:
        self.update(objected=False, objected_at=None)
        self.follow(step.at)
        return self.booking

    # --- the payout -----------------------------------------------------------------------------

    def pay_out(self, step: Do) -> BookingState:
        if self.books.transferred:
            return self.booking
        if not self.outside.payable:
            self.blocked_at = self.blocked_at or step.at
            return self.update(payout_status=PayoutStatus.BLOCKED)
        self.adopted = step.adopt or self.adopted
        self._transfer(self.books.division.provider_share)
        return self.booking

    def send_to_bank(self, step: Do) -> BookingState:
        self._hear_from_bank(step)
        blocked = self.booking.payout_status is PayoutStatus.BLOCKED
        if not self.outside.payable:
            self.blocked_at = self.blocked_at or step.at
            return self.update(payout_status=PayoutStatus.BLOCKED)
        fresh = self.outside.bank == ""
        if self.booking.at_bank and (fresh or (blocked and self.outside.bank == "failed")):
            self.bank_attempts += 1
            self.outside.bank, self.blocked_at = self.outside.arrives, None
            self.update(payout_status=PayoutStatus.PROCESSING)
        return self.booking

    def rebalance(self, step: Do) -> BookingState:
        self.catch_up()
        due = self.books.due
        if step.waive is not None:
            self.waived = True
        elif due < 0:
            given = recovery(self.books, self.books.transferred - self.books.reversed, self.outside.available)
            self.outside.reversed += given.reverse
            self.enter(reversed=self.outside.reversed, raised=self.books.raised + given.owe)
            self.update(payout_status=holds.payout_after(self.books))
        elif due > 0 and self.taken_by_hand and step.insist is None:
            raise broken("UnexpectedState")
        elif due > 0:
            relief = min(self.books.raised, due)
            self.enter(raised=self.books.raised - relief)
            self._transfer(due - relief)
        return self.update()

    # --- what they share ------------------------------------------------------------------------

    def _transfer(self, amount: int) -> None:
        if amount:
            self.transferred.append(amount)
        self.blocked_at = None
        self.enter(allocated=True, transferred=self.books.transferred + amount)
        manual = self.policy.payout_schedule == "manual"
        status = PayoutStatus.PROCESSING if manual else PayoutStatus.PAID
        self.update(payout_status=status, at_bank=manual)

    def _hear_from_bank(self, step: Do) -> None:
        """A payout that arrived, did not, or came back after all."""
        status, bank = self.booking.payout_status, self.outside.bank
        if status is PayoutStatus.PROCESSING and bank == "paid":
            self.update(payout_status=PayoutStatus.PAID, at_bank=False)
        elif status is PayoutStatus.PROCESSING and bank == "failed":
            self.blocked_at = self.blocked_at or step.at
            self.update(payout_status=PayoutStatus.BLOCKED)
        elif status is PayoutStatus.PAID and bank == "failed":
            self.outside.bank = ""
            self.update(payout_status=PayoutStatus.PROCESSING, at_bank=True)
