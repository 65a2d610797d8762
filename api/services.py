"""The catalogue: what can be booked, for how much, and when."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncSession

from api import classes, queries
from api.admission import BOOKABLE_AHEAD
from api.auth import Caller
from api.dependencies import AsSeller, Dependencies, Deps
from api.errors import Code, FieldError, Problem, documented
from api.offering import check_rules, check_terms, find_price
from api.paging import Paged, Position
from api.schemas import Utc
from api.service_schemas import (
    Availability,
    NewService,
    PricePart,
    ServiceChange,
    ServicePage,
    ServiceResource,
)
from api.session_schemas import describe_class
from models.availability import Span, free_slots
from models.catalogue import Provider, Service
from models.money import display, split
from models.states import Role
from settings import PolicyDefaults

router = APIRouter(prefix="/api/services", tags=["services"])

LONGEST_RANGE: Final = timedelta(days=31)
DEFAULT_RANGE: Final = timedelta(days=7)
FINEST_STEP: Final = timedelta(minutes=15)
LONGEST_STEP: Final = timedelta(hours=1)

SELLING: Final = (
    Code.INVALID_REQUEST,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.NOT_FOUND,
    Code.VALIDATION_FAILED,
    Code.POLICY_INVALID,
    Code.STRIPE_UNAVAILABLE,
)


@router.get("", summary="List what can be booked", responses=documented(Code.VALIDATION_FAILED))
async def list_services(deps: Deps, page: Paged) -> ServicePage:
    """Active services of all providers, the newest first."""
    async with deps.database.transaction() as session:
        found = await queries.offers(session, page.after, page.limit + 1)
    shown, more = found[: page.limit], len(found) > page.limit
    last = Position(created_at=shown[-1].service.created_at, id=shown[-1].service.id) if more else None
    return ServicePage(
        items=[describe(offer, deps.defaults) for offer in shown],
        next_cursor=last.cursor() if last else None,
    )


@router.post(
    "", status_code=status.HTTP_201_CREATED, summary="Offer something", responses=documented(*SELLING)
)
async def create_service(
    new: NewService, caller: AsSeller, deps: Deps, response: Response
) -> ServiceResource:
    """Put a service up. A Product and a Price are made at Stripe when an amount is given."""
    provider = await _selling_provider(deps, caller, new.provider_id)
    duration = timedelta(minutes=new.duration_minutes)
    rules = check_rules(new.policy, deps.defaults, duration, provider.payout_schedule)
    check_terms(caller, rules, {}, deps.defaults)
    service_id = uuid4()
    price = await find_price(deps.gateway, new, name=new.name, key=f"service:{service_id}")
    service = Service(
        id=service_id,
        provider_id=provider.id,
        name=new.name,
        description=new.description,
        duration_minutes=new.duration_minutes,
        capacity=new.capacity,
        price_id=price.id,
        product_id=price.product_id,
        amount=price.unit_amount,
        currency=price.currency,
        policy=rules,
    )
    async with deps.database.transaction() as session:
        session.add(service)
    response.headers["Location"] = f"/api/services/{service_id}"
    return await _read(deps, service_id)


@router.get(
    "/{service_id}",
    summary="Look at a service",
    responses=documented(Code.NOT_FOUND, Code.VALIDATION_FAILED),
)
async def get_service(service_id: UUID, deps: Deps) -> ServiceResource:
    """Price, who gets what of it, and what cancelling gives back."""
    return await _read(deps, service_id)


@router.patch("/{service_id}", summary="Change a service", responses=documented(*SELLING))
async def change_service(
    service_id: UUID, change: ServiceChange, caller: AsSeller, deps: Deps
) -> ServiceResource:
    """Only later bookings notice: those that exist keep the price and the rules they were made under."""
    offer = await _own(deps, caller, service_id)
    minutes = change.duration_minutes or offer.service.duration_minutes
    rules = offer.service.policy if change.policy is None else change.policy
    values = change.model_dump(
        include={"name", "description", "duration_minutes", "active"}, exclude_unset=True, exclude_none=True
    )
    checked = check_rules(rules, deps.defaults, timedelta(minutes=minutes), offer.provider.payout_schedule)
    if change.policy is not None:  # what nobody named may be changed by somebody else meanwhile
        check_terms(caller, checked, offer.service.policy, deps.defaults)
        values["policy"] = checked
    if change.names_a_price:
        name = change.name or offer.service.name
        price = await find_price(deps.gateway, change, name=name, key=f"service:{service_id}:{uuid4()}")
        values |= {
            "price_id": price.id,
            "product_id": price.product_id,
            "amount": price.unit_amount,
            "currency": price.currency,
        }
    await deps.database.run(lambda session: _update(session, service_id, values))
    return await _read(deps, service_id)


@router.get(
    "/{service_id}/availability",
    summary="See when there is room",
    responses=documented(Code.NOT_FOUND, Code.VALIDATION_FAILED),
)
async def get_availability(
    service_id: UUID,
    deps: Deps,
    starts_from: Annotated[Utc | None, Query(alias="from", description="Default: now")] = None,
    until: Annotated[Utc | None, Query(alias="to", description="At most 31 days later")] = None,
) -> Availability:
    """Free starts, on the provider's wall clock, whatever summer time does; or classes with seats left."""
    now = deps.now()
    async with deps.database.transaction() as session:
        offer = await queries.offer(session, service_id)
        if offer is None or not offer.service.active:
            raise Problem(Code.NOT_FOUND)
        span = _range(starts_from, until, now)
        start = max(span.start, now + deps.defaults.resolve(offer.service.policy).min_notice)
        bookable = Span(start, max(span.end, start))
        in_class = offer.service.capacity > 1
        slots = [] if in_class else await _slots(session, offer, bookable)
        held = await classes.upcoming(session, service_id, bookable) if in_class else []
    return Availability(
        service_id=service_id,
        time_zone=offer.provider.time_zone,
        duration_minutes=offer.service.duration_minutes,
        slots=slots,
        sessions=[describe_class(one) for one in held],
    )


async def _slots(session: AsyncSession, offer: queries.Offer, span: Span) -> list[datetime]:
    duration = timedelta(minutes=offer.service.duration_minutes)
    hours = await queries.opening_hours(session, offer.provider.id)
    taken = await queries.busy(session, offer.provider.id, Span(span.start, span.end + duration))
    return free_slots(
        hours,
        ZoneInfo(offer.provider.time_zone),
        duration,
        busy=taken,
        start=span.start,
        end=span.end,
        step=max(FINEST_STEP, min(duration, LONGEST_STEP)),
    )


def describe(offer: queries.Offer, defaults: PolicyDefaults) -> ServiceResource:
    """The service as anybody may see it."""
    service, provider = offer.service, offer.provider
    policy = defaults.resolve(service.policy)
    divided = split(service.amount, policy.platform_fee_bps, service.currency)
    return ServiceResource(
        id=service.id,
        provider_id=provider.id,
        provider_name=provider.name,
        time_zone=provider.time_zone,
        name=service.name,
        description=service.description,
        duration_minutes=service.duration_minutes,
        capacity=service.capacity,
        active=service.active,
        price=PricePart(
            price_id=service.price_id,
            amount=service.amount,
            currency=service.currency,
            display=display(service.amount, service.currency),
            platform_fee=divided.platform_fee,
            provider_share=divided.provider_share,
        ),
        cancellation_tiers=list(policy.cancellation_tiers),
        policy=policy,
        created_at=service.created_at,
    )


def _range(starts_from: datetime | None, until: datetime | None, now: datetime) -> Span:
    """What to look at: nothing that is over, nothing further ahead than can be booked.

    Raises:
        Problem: the range is upside down or longer than 31 days.
    """
    start = starts_from or now
    latest = now + BOOKABLE_AHEAD
    if start > latest or (until is not None and until < now):
        return Span(now, now)
    end = until or start + DEFAULT_RANGE
    if end < start or end - start > LONGEST_RANGE:
        error = FieldError(field="query.to", message="ends before `from`, or more than 31 days after it")
        raise Problem(Code.VALIDATION_FAILED, errors=[error])
    return Span(max(start, now), min(end, latest))


async def _read(deps: Dependencies, service_id: UUID) -> ServiceResource:
    async with deps.database.transaction() as session:
        offer = await queries.offer(session, service_id)
    if offer is None:
        raise Problem(Code.NOT_FOUND)
    return describe(offer, deps.defaults)


async def _own(deps: Dependencies, caller: Caller, service_id: UUID) -> queries.Offer:
    async with deps.database.transaction() as session:
        offer = await queries.offer(session, service_id)
    if offer is None:
        raise Problem(Code.NOT_FOUND)
    if caller.role is not Role.OPS and offer.provider.id != caller.provider_id:
        raise Problem(Code.FORBIDDEN, "This service is another provider's.")
    return offer


async def _selling_provider(deps: Dependencies, caller: Caller, named: UUID | None) -> Provider:
    """Whose service it becomes: a provider's own, or the one that ops name."""
    provider_id = named if caller.role is Role.OPS else caller.provider_id
    if caller.role is Role.OPS and provider_id is None:
        error = FieldError(field="body.provider_id", message="ops name the provider")
        raise Problem(Code.VALIDATION_FAILED, errors=[error])
    if caller.role is not Role.OPS and named not in {None, caller.provider_id}:
        raise Problem(Code.FORBIDDEN, "You can only offer services of your own.")
    async with deps.database.transaction() as session:
        provider = await session.get(Provider, provider_id) if provider_id else None
    if provider is None:
        raise Problem(Code.NOT_FOUND, "There is no such provider; register it first.")
    return provider


async def _update(session: AsyncSession, service_id: UUID, values: dict[str, object]) -> None:
    service = await session.get_one(Service, service_id, with_for_update=True)
    for name, value in values.items():
        setattr(service, name, value)
