"""What a service may promise: its rules, and its price at Stripe."""

from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from activities.errors import Failure, StripeFailure
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Price
from api.auth import Caller
from api.errors import Code, FieldError, Problem
from api.schemas import LARGEST_AMOUNT
from api.service_schemas import Priced
from models.catalogue import PayoutSchedule
from models.money import step
from models.policy import MERCHANT_INITIATED_WINDOW, Policy
from models.states import Role
from settings import PolicyDefaults

NOT_OFFERED_YET: Final[dict[str, frozenset[str]]] = {
    "calendar": frozenset({"calcom"}),
    "meeting": frozenset({"jitsi"}),
}
"""Rules that the vocabulary has and no code follows yet: refused rather than ignored."""


PLATFORM_TERMS: Final = ("platform_fee_bps", "payout_hold", "payout_patience", "debt_cap_bps")
"""Rules that protect the platform and the client from the provider: ops set them (ADR 0019)."""


def check_terms(
    caller: Caller, wanted: dict[str, Any], stands: dict[str, Any], defaults: PolicyDefaults
) -> None:
    """A provider leaves the platform's terms as they stand.

    Raises:
        Problem: 422 `policy_invalid`, naming the rule.
    """
    if caller.role is Role.OPS:
        return
    before, after = defaults.resolve(stands), defaults.resolve(wanted)
    for rule in PLATFORM_TERMS:
        if getattr(before, rule) != getattr(after, rule):
            raise _invalid(rule, "only ops set the platform's terms")


def check_rules(
    own: dict[str, Any], defaults: PolicyDefaults, duration: timedelta, schedule: PayoutSchedule
) -> dict[str, Any]:
    """A service's own rules in canonical form, if they make sense with the defaults.

    The provider's account decides who sends its balance to the bank: a rule that says otherwise would
    leave money lying there, or wait for ever. Without a rule, the account's own `schedule` is one.

    Raises:
        Problem: 422 `policy_invalid`, saying why.
    """
    rules = {"payout_schedule": schedule.value, **own}
    try:
        policy = defaults.resolve(rules)
    except ValidationError as error:
        raise _unreadable(error) from None
    _check_durations(own, policy)
    for rule, values in NOT_OFFERED_YET.items():
        if getattr(policy, rule) in values:
            raise _invalid(rule, f"{getattr(policy, rule)} is not offered yet")
    if policy.min_attendance > 1:
        raise _invalid("min_attendance", "more than one is not offered yet")
    if policy.payout_schedule != schedule:
        raise _invalid("payout_schedule", f"the provider's account is paid out on the {schedule} schedule")
    _check_lead(policy, duration)
    named = rules if schedule is PayoutSchedule.MANUAL else own
    return policy.model_dump(mode="json", include=set(named))


def _check_durations(own: dict[str, Any], policy: Policy) -> None:
    """What the API's description calls a duration has no fractions (RFC 3339, appendix A)."""
    for rule in own:
        value = getattr(policy, rule)
        if isinstance(value, timedelta) and value.microseconds:
            raise _invalid(rule, "durations are whole seconds")


def _check_lead(policy: Policy, duration: timedelta) -> None:
    """An off-session authorization must still be good when the session has been completed (TRAPS 1)."""
    if policy.capture == "on_payment":
        return
    if policy.authorization_lead + duration + policy.completion_grace > MERCHANT_INITIATED_WINDOW:
        days = MERCHANT_INITIATED_WINDOW / timedelta(days=1)
        message = f"lead, session and completion_grace together exceed the {days:g} days that cards allow"
        raise _invalid("authorization_lead", message)


async def find_price(gateway: StripeGateway, priced: Priced, *, name: str, key: str) -> Price:
    """The price at Stripe: the one that is named, or a new one for the amount that is given.

    Raises:
        Problem: Stripe has no such price, or does not answer.
    """
    try:
        if priced.price_id is not None:
            return _usable(await gateway.retrieve_price(priced.price_id))
        product_id = await gateway.create_product(name=name, description=None, key=f"{key}:product")
        return await gateway.create_price(
            product_id=product_id,
            amount=priced.amount or 0,
            currency=(priced.currency or "").lower(),
            key=f"{key}:price",
        )
    except StripeFailure as failure:
        raise stripe_problem(failure, "Stripe does not accept this price.") from failure


def stripe_problem(failure: StripeFailure, rejected: str) -> Problem:
    """A failure at Stripe, for a caller whose input may have caused it."""
    if failure.failure is Failure.STRIPE_REJECTED:
        return Problem(Code.VALIDATION_FAILED, rejected)
    return Problem(Code.STRIPE_UNAVAILABLE)


def _usable(price: Price) -> Price:
    if not price.active or price.unit_amount <= 0:
        raise Problem(Code.VALIDATION_FAILED, "The price is archived or has no fixed amount.")
    if price.unit_amount > LARGEST_AMOUNT or price.unit_amount % step(price.currency):
        raise Problem(Code.VALIDATION_FAILED, "The price is an amount that cannot be charged.")
    return price


def _unreadable(error: ValidationError) -> Problem:
    errors = [
        FieldError(field=".".join(("body.policy", *map(str, each["loc"]))), message=each["msg"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = errors[0]
    return Problem(Code.POLICY_INVALID, f"{first.field}: {first.message}", errors=errors)


def _invalid(rule: str, message: str) -> Problem:
    errors = [FieldError(field=f"body.policy.{rule}", message=message)]
    return Problem(Code.POLICY_INVALID, f"{rule}: {message}", errors=errors)
