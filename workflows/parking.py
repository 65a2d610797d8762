"""The steps that may park until a person decides, and what can be decided about each."""

from enum import StrEnum
from typing import Final


class Step(StrEnum):
    """The steps that can park."""

    RESERVE = "reserve"
    OPEN_PAYMENT = "open_payment"
    READ_PAYMENT = "read_payment"
    CLOSE_PAYMENT = "close_payment"
    ASK_APPROVAL = "ask_approval"
    CONFIRM = "confirm"
    AUTHORIZE = "authorize"
    RENEW = "renew_authorization"
    REPLAN = "replan_payment"
    RESCHEDULE = "reschedule"
    REPORT = "report"
    REPORTS = "reports"
    SETTLE = "settle"
    MIRROR = "mirror"
    REFUND = "refund"
    REBALANCE = "rebalance"
    CONTEST = "contest"
    OBJECTION = "objection"
    CHANGE_HOLD = "change_hold"
    PAY_OUT = "pay_out"
    SEND_TO_BANK = "send_to_bank"
    GIVE_BACK = "give_back"
    RELEASE = "release"
    JUDGE_STRAY = "judge_stray"
    GIVE_BACK_STRAY = "give_back_stray"


class Action(StrEnum):
    """What ops can decide about a parked step, or about people who contradict each other."""

    RETRY = "retry"
    ADOPT = "adopt"
    ABORT = "abort"
    RELEASE = "release"
    REFUND = "refund"


_TRY_OR_ABORT: Final = frozenset({Action.RETRY, Action.ABORT})
_TRY: Final = frozenset({Action.RETRY})
_JUDGE: Final = frozenset({Action.RELEASE, Action.REFUND})

ACTIONS: Final[dict[Step, frozenset[Action]]] = {
    Step.RESERVE: _TRY_OR_ABORT,
    Step.OPEN_PAYMENT: frozenset({Action.RETRY, Action.ADOPT, Action.ABORT}),
    Step.READ_PAYMENT: _TRY_OR_ABORT,
    Step.CLOSE_PAYMENT: _TRY_OR_ABORT,
    Step.ASK_APPROVAL: _TRY_OR_ABORT,
    Step.CONFIRM: _TRY_OR_ABORT,
    Step.AUTHORIZE: _TRY_OR_ABORT,
    Step.RENEW: _TRY_OR_ABORT,
    Step.REPLAN: _TRY_OR_ABORT,
    Step.RESCHEDULE: _TRY,
    Step.REPORT: _TRY,
    Step.REPORTS: _JUDGE,
    Step.SETTLE: _TRY_OR_ABORT,
    Step.MIRROR: _TRY,
    Step.REFUND: _TRY_OR_ABORT,
    Step.REBALANCE: _TRY_OR_ABORT,
    Step.CONTEST: _TRY,
    Step.OBJECTION: _JUDGE,
    Step.CHANGE_HOLD: _TRY,
    Step.PAY_OUT: frozenset({Action.RETRY, Action.ADOPT}),
    Step.SEND_TO_BANK: _TRY,
    Step.GIVE_BACK: _TRY,
    Step.RELEASE: _TRY,
    Step.JUDGE_STRAY: _TRY,
    Step.GIVE_BACK_STRAY: _TRY,
}
"""An undo can only be tried again, and a payout is never called paid without its transfer."""
