"""Payment methods: made of test card numbers or tokens, kept by customers.

The sandbox remembers the number privately; it is what decides how the card behaves.
"""

from sandbox.stripe import cards
from sandbox.stripe.cards import Card
from sandbox.stripe.errors import invalid_request, missing_object, refused
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

routes = Routes()
USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use "
    "a PaymentMethod multiple times, you must attach it to a Customer first."
)
NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
NO_BILLING_DETAILS = {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}
EXPIRES_IN_YEARS = 5
NUMBER_FIELDS = {"card": "number", "us_bank_account": "account_number"}


def card_of(method: Object) -> Card:
    """The test card behind a payment method."""
    return cards.BY_NUMBER[method["_number"]]


def resolve(scope: Scope, reference: str, *, param: str = "payment_method") -> Object:
    """The payment method of an id, or a fresh one of a test token such as `pm_card_visa`."""
    card = cards.BY_TOKEN.get(reference)
    if card is not None:
        return scope.add(build(scope, card, Params({})))
    return scope.get("payment_method", reference, param=param)


def from_data(scope: Scope, data: Params) -> Object:
    """A new payment method of `type`, `card[number]` or `card[token]`, and `billing_details`."""
    kind = data.required("type")
    if kind not in NUMBER_FIELDS:
        raise invalid_request(
            f"The sandbox knows these types only: {', '.join(NUMBER_FIELDS)}.", param=data.name("type")
        )
    given = data.sub(kind)
    token = given.text("token")
    if token is not None and token not in cards.BY_TOKEN:
        raise missing_object("token", token, param=given.name("token"))
    card = cards.BY_TOKEN[token] if token else cards.by_number(given.required(NUMBER_FIELDS[kind]))
    return scope.add(build(scope, card, data))


def build(scope: Scope, card: Card, data: Params) -> Object:
    """A payment method's fields."""
    method = scope.base("payment_method") | {
        "allow_redisplay": data.text("allow_redisplay") or "unspecified",
        "billing_details": NO_BILLING_DETAILS | data.sub("billing_details").values,
        card.kind: _card(scope, card, data.sub("card")) if card.kind == "card" else _bank_account(card),
        "customer": None,
        "customer_account": None,
        "type": card.kind,
        "_number": card.number,
        "_used_up": False,
        "_set_up": False,
    }
    method["metadata"] = data.merged_metadata({})
    return method


def _card(scope: Scope, card: Card, given: Params) -> Object:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": None},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": given.integer("exp_month") or 12,
        "exp_year": given.integer("exp_year") or _year(scope.now) + EXPIRES_IN_YEARS,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_account(card: Card) -> Object:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": card.fingerprint,
        "last4": card.number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def attach(scope: Scope, method: Object, customer: Object) -> Object:
    """Let a customer keep a payment method; a card that Stripe would refuse is refused here."""
    card = card_of(method)
    if card.decline is not None and not card.attaches:
        raise card.decline.error()
    if method["_used_up"]:
        raise refused(USED_UP)
    if method["customer"] not in (None, customer["id"]):
        message = "The payment method you provided has already been attached to a customer."
        raise refused(message, code="payment_method_unexpected_state")
    method["customer"] = customer["id"]
    scope.save(method)
    emit(scope, "payment_method.attached", method)
    return method


def _year(instant: int) -> int:
    seconds_per_year = 31_556_952
    return 1970 + instant // seconds_per_year


@routes.post("/v1/payment_methods", params="PaymentMethodCreateParams", publishable=True)
def create(call: Call) -> Object:
    """Create a payment method, as Stripe.js does it with a publishable key."""
    return from_data(call, call.params)


@routes.get("/v1/payment_methods/{id}", params="PaymentMethodRetrieveParams")
def retrieve(call: Call) -> Object:
    """Retrieve a payment method; a test token shows the card that it stands for."""
    card = cards.BY_TOKEN.get(call.path["id"])
    if card is not None:
        return build(call, card, Params({})) | {"id": call.path["id"]}
    return call.named("payment_method")


@routes.post("/v1/payment_methods/{id}", params="PaymentMethodUpdateParams")
def update(call: Call) -> Object:
    """Change metadata and billing details."""
    method = call.named("payment_method")
    method["metadata"] = call.params.merged_metadata(method["metadata"])
    method["billing_details"] = method["billing_details"] | call.params.sub("billing_details").values
    return call.save(method)


@routes.post("/v1/payment_methods/{id}/attach", params="PaymentMethodAttachParams")
def attach_to_customer(call: Call) -> Object:
    """Attach to a customer."""
    customer = call.get("customer", call.params.required("customer"), param="customer")
    return attach(call, resolve(call, call.path["id"], param="id"), customer)


@routes.post("/v1/payment_methods/{id}/detach", params="PaymentMethodDetachParams")
def detach(call: Call) -> Object:
    """Take from its customer; it can not be used again."""
    method = call.named("payment_method") | {"customer": None, "_used_up": True}
    emit(call, "payment_method.detached", call.save(method))
    return method


routes.list(
    "/v1/payment_methods", "payment_method", params="PaymentMethodListParams", filters=("customer", "type")
)
