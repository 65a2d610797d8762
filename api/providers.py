"""Providers: registering, and getting ready to be paid."""

from typing import Final
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Response, status
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import StripeFailure
from activities.stripe_objects import Account
from api import queries
from api.auth import Caller
from api.dependencies import AsSeller, Dependencies, Deps
from api.errors import Code, Problem, documented
from api.offering import stripe_problem
from api.provider_schemas import BlockedPayout, NewProvider, Onboarding, OpenDebt, ProviderResource
from models.catalogue import AvailabilityRule, PayoutSchedule, Provider
from models.states import Role

router = APIRouter(prefix="/api/providers", tags=["providers"])

MOST_BLOCKED: Final = 100

_PROVIDERS: Final = UUID("0d6d9f0a-52b7-4b52-8d5a-7f0c5a3f6a11")

REGISTERING: Final = (
    Code.PROVIDER_NOT_READY,
    Code.INVALID_REQUEST,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.NOT_FOUND,
    Code.VALIDATION_FAILED,
    Code.STRIPE_UNAVAILABLE,
)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Register",
    responses={
        status.HTTP_200_OK: {"model": ProviderResource, "description": "Registered before"},
        **documented(*REGISTERING),
    },
)
async def create_provider(
    new: NewProvider, caller: AsSeller, deps: Deps, response: Response
) -> ProviderResource:
    """Register yourself, once, or somebody else as ops; a connected account is made at Stripe."""
    subject = caller.subject if caller.role is Role.PROVIDER else str(uuid4())
    known = await _registered(deps, subject)
    provider_id = known or await _register(deps, subject, new)
    response.status_code = status.HTTP_200_OK if known else status.HTTP_201_CREATED
    response.headers["Location"] = f"/api/providers/{provider_id}"
    return await _show(deps, provider_id)


@router.get(
    "/{provider_id}",
    summary="See whether a provider can be paid",
    responses=documented(Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND, Code.VALIDATION_FAILED),
)
async def get_provider(provider_id: UUID, caller: AsSeller, deps: Deps) -> ProviderResource:
    """A provider that is not ready yet is read again at Stripe: the webhook may have been lost."""
    provider = await _own(deps, caller, provider_id)
    if provider.stripe_account_id is not None and not (
        provider.transfers_active and provider.payouts_enabled
    ):
        await _refresh(deps, provider_id, provider.stripe_account_id)
    return await _show(deps, provider_id)


@router.post("/{provider_id}/onboarding", summary="Continue at Stripe", responses=documented(*REGISTERING))
async def start_onboarding(provider_id: UUID, caller: AsSeller, deps: Deps) -> Onboarding:
    """A link to Stripe's own pages; fresh every time, because it works once."""
    provider = await _own(deps, caller, provider_id)
    if provider.stripe_account_id is None:
        raise Problem(Code.PROVIDER_NOT_READY, "The provider has no account at Stripe.")
    try:
        url = await deps.gateway.create_account_link(
            account_id=provider.stripe_account_id,
            refresh_url=f"{deps.public_url}/providers/{provider_id}/onboarding/again",
            return_url=f"{deps.public_url}/providers/{provider_id}/onboarding/done",
            key=f"provider:{provider_id}:onboarding:{uuid4()}",
        )
    except StripeFailure as failure:
        raise stripe_problem(failure, "Stripe does not accept this provider.") from failure
    return Onboarding(url=url)


async def _registered(deps: Dependencies, subject: str) -> UUID | None:
    async with deps.database.transaction() as session:
        return await queries.provider_of(session, subject)


async def _register(deps: Dependencies, subject: str, new: NewProvider) -> UUID:
    """The account comes first: what Stripe does not accept leaves nothing behind and can be corrected."""
    provider_id = uuid5(_PROVIDERS, subject)
    try:
        account = await deps.gateway.create_account(
            provider_id=str(provider_id),
            email=new.email,
            country=new.country,
            manual_payouts=new.payout_schedule is PayoutSchedule.MANUAL,
            key=f"provider:{provider_id}:account",
        )
    except StripeFailure as failure:
        raise stripe_problem(failure, "Stripe does not accept this provider.") from failure
    await deps.database.run(lambda session: _add(session, provider_id, subject, new, account))
    return provider_id


async def _add(
    session: AsyncSession, provider_id: UUID, subject: str, new: NewProvider, account: Account
) -> None:
    """Nobody registers twice: whoever comes second, with the same account, changes nothing."""
    row = insert(Provider).values(
        id=provider_id,
        subject=subject,
        stripe_account_id=account.id,
        transfers_active=account.transfers_active,
        payouts_enabled=account.payouts_enabled,
        **new.model_dump(exclude={"opening_hours"}),
    )
    if await session.scalar(row.on_conflict_do_nothing().returning(Provider.id)) is not None:
        session.add_all(
            AvailabilityRule(provider_id=provider_id, **window.model_dump()) for window in new.opening_hours
        )


async def _refresh(deps: Dependencies, provider_id: UUID, account_id: str) -> None:
    try:
        account = await deps.gateway.retrieve_account(account_id)
    except StripeFailure:
        # What we know is still worth showing.
        return
    await deps.database.run(lambda session: _keep(session, provider_id, account))


async def _keep(session: AsyncSession, provider_id: UUID, account: Account) -> None:
    provider = await session.get_one(Provider, provider_id, with_for_update=True)
    provider.transfers_active = account.transfers_active
    provider.payouts_enabled = account.payouts_enabled


async def _own(deps: Dependencies, caller: Caller, provider_id: UUID) -> Provider:
    async with deps.database.transaction() as session:
        provider = await session.get(Provider, provider_id)
    if provider is None or (caller.role is not Role.OPS and provider.id != caller.provider_id):
        raise Problem(Code.NOT_FOUND)
    return provider


async def _show(deps: Dependencies, provider_id: UUID) -> ProviderResource:
    async with deps.database.transaction() as session:
        provider = await session.get_one(Provider, provider_id)
        hours = await queries.opening_hours(session, provider_id)
        debts = await queries.open_debts(session, provider_id)
        blocked = await queries.blocked_payouts(session, provider_id, MOST_BLOCKED)
    return ProviderResource(
        id=provider.id,
        name=provider.name,
        email=provider.email,
        time_zone=provider.time_zone,
        country=provider.country,
        opening_hours=hours,
        stripe_account_id=provider.stripe_account_id,
        payout_schedule=provider.payout_schedule,
        transfers_active=provider.transfers_active,
        payouts_enabled=provider.payouts_enabled,
        ready=provider.transfers_active and provider.payouts_enabled,
        debts=[OpenDebt(currency=currency, amount=amount) for currency, amount in debts],
        blocked_payouts=[
            BlockedPayout(
                booking_id=payout.booking_id,
                amount=payout.amount,
                currency=payout.currency,
                since=payout.blocked_at,
            )
            for payout in blocked
        ],
        created_at=provider.created_at,
    )
