"""The whole table of endpoints, gathered from the resource files."""

from sandbox.stripe.resources import (
    accounts,
    balance,
    catalogue,
    charges,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
    setup_intents,
    transfers,
    webhook_endpoints,
)

MODULES = (
    accounts,
    balance,
    catalogue,
    charges,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
    setup_intents,
    transfers,
    webhook_endpoints,
)
ROUTES = [route for module in MODULES for route in module.routes.declared]
