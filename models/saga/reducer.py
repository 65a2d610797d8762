"""The saga's decisions as one pure function: a booking and an event make the booking as it is then.

What the workflow and its activities decide between Stripe and Postgres, without either. Quotes,
deadlines, holds, divisions, recoveries and journals are the product's own functions.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from models.saga import attending, caring, events, paying, promising
from models.saga.standing import Saga

HANDLERS: Final[Mapping[type[events.Event], Callable[[Saga, Any], Saga]]] = {
    events.PaymentSays: promising.payment_says,
    events.CardRefused: promising.card_refused,
    events.WindowEnds: promising.window_ends,
    events.Proceed: promising.proceed,
    events.Answered: promising.answered,
    events.Silence: promising.silence,
    events.Cancelled: attending.cancelled,
    events.Reported: attending.reported,
    events.GraceEnds: attending.grace_ends,
    events.ReportsJudged: attending.reports_judged,
    events.Rescheduled: attending.rescheduled,
    events.AuthorizeDue: attending.authorize_due,
    events.FixEnds: attending.fix_ends,
    events.RenewDue: attending.renew_due,
    events.Expired: attending.expired,
    events.Settle: attending.settle,
    events.RefundOrdered: caring.refund_ordered,
    events.RefundSays: caring.refund_says,
    events.DisputeSays: caring.dispute_says,
    events.Objected: caring.objected,
    events.Judged: caring.judged,
    events.HoldChanged: caring.hold_changed,
    events.TransferDue: paying.transfer_due,
    events.TransferSays: paying.transfer_says,
    events.BankSays: paying.bank_says,
    events.Rebalance: paying.rebalance,
    events.Waived: paying.waived,
    events.ReversalSays: paying.reversal_says,
    events.DebtRepaid: paying.debt_repaid,
}


def reduce(saga: Saga, event: events.Event) -> Saga:
    """What becomes of `saga` when `event` happens.

    Raises:
        Refused: it cannot happen to this booking, and nothing changes.
    """
    return HANDLERS[type(event)](saga, event)
