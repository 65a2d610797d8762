"""Connected accounts and their onboarding links.

In the sandbox a created account is ready to be paid at once; the control API takes that away and gives it back.
"""

from urllib.parse import urlencode

from sandbox.stripe import ids
from sandbox.stripe.errors import account_invalid, missing_object
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
TYPES = ("standard", "express", "custom", "none")
INTERVALS = ("manual", "daily", "weekly", "monthly")
LINK_SECONDS = 300
MERGED = ("business_profile", "company", "individual", "tos_acceptance")
EMPTY_REQUIREMENTS: Object = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": [],
    "disabled_reason": None,
    "errors": [],
    "eventually_due": [],
    "past_due": [],
    "pending_verification": [],
}
SETTINGS: Object = {
    "bacs_debit_payments": {"display_name": None, "service_user_number": None},
    "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
    "card_issuing": {"tos_acceptance": {"date": None, "ip": None}},
    "card_payments": {
        "decline_on": {"avs_failure": False, "cvc_failure": False},
        "statement_descriptor_prefix": None,
        "statement_descriptor_prefix_kana": None,
        "statement_descriptor_prefix_kanji": None,
    },
    "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
    "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": None},
    "payments": {
        "statement_descriptor": None,
        "statement_descriptor_kana": None,
        "statement_descriptor_kanji": None,
        "statement_descriptor_prefix_kana": None,
        "statement_descriptor_prefix_kanji": None,
    },
    "payouts": {
        "debit_negative_balances": True,
        "schedule": {"delay_days": 2, "interval": "daily"},
        "statement_descriptor": None,
    },
    "sepa_debit_payments": {},
}


def blank(account_id: str, now: int) -> Object:
    """An account that can charge, be transferred to, and be paid out."""
    return {
        "id": account_id,
        "object": "account",
        "business_profile": dict.fromkeys(
            ("annual_revenue", "mcc", "name", "product_description", "support_email", "support_phone", "url")
        ),
        "business_type": None,
        "capabilities": {},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": now,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{account_id}/external_accounts",
        },
        "future_requirements": EMPTY_REQUIREMENTS,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": EMPTY_REQUIREMENTS,
        "settings": SETTINGS,
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
        "_deauthorized": False,
        "_payouts_fail": None,
    }


@routes.post("/v1/accounts", params="AccountCreateParams")
def create(call: Call) -> Object:
    """Create a connected account, by `type` or by `controller`."""
    params = call.params
    account = blank(ids.new("account"), call.now)
    account["capabilities"] = {"transfers": "active"}
    account["controller"] = _controller(params.sub("controller"))
    account["type"] = params.choice("type", TYPES, "none" if "controller" in params else "standard")
    account["country"] = params.text("country") or account["country"]
    account["default_currency"] = params.text("default_currency") or account["default_currency"]
    return call.add(_changed(params, account))


@routes.get("/v1/account", params="AccountRetrieveCurrentParams")
def retrieve_current(call: Call) -> Object:
    """The account that the request acts on."""
    found = call.store.find(call.account)
    return found or blank(call.account, call.now)


@routes.get("/v1/accounts/{id}", params="AccountRetrieveParams")
def retrieve(call: Call) -> Object:
    """A connected account, or oneself."""
    return connected(call, call.path["id"])


@routes.post("/v1/accounts/{id}", params="AccountUpdateParams")
def update(call: Call) -> Object:
    """Change what is given."""
    account = call.save(_changed(call.params, connected(call, call.path["id"])))
    emit(call.on(account["id"]), "account.updated", account)
    return account


@routes.delete("/v1/accounts/{id}", params="AccountDeleteParams")
def delete(call: Call) -> Object:
    """Close an account for good."""
    account = connected(call, call.path["id"])
    call.store.delete(account["id"])
    return {"id": account["id"], "object": "account", "deleted": True}


@routes.post("/v1/account_links", params="AccountLinkCreateParams")
def create_link(call: Call) -> Object:
    """An onboarding link, to the sandbox's own page."""
    account = connected(call, call.params.required("account"), param="account")
    back = urlencode({"return_url": call.params.text("return_url") or ""})
    return {
        "object": "account_link",
        "created": call.now,
        "expires_at": call.now + LINK_SECONDS,
        "url": f"{call.base_url}/_sandbox/onboarding/{account['id']}?{back}",
    }


def connected(call: Call, account_id: str, *, param: str = "id") -> Object:
    """An account that is connected to the platform."""
    account = call.store.find(account_id)
    if account is not None and account["object"] == "account" and not account["_deauthorized"]:
        return account
    if param == "id":
        raise account_invalid(account_id)
    raise missing_object(param, account_id, param=param)


def _controller(params: Params) -> Object:
    if not params.values:
        return {"type": "account"}
    return {"is_controller": True, "type": "application", **params.values}


def _changed(params: Params, account: Object) -> Object:
    account |= {name: params.text(name) for name in ("email", "business_type") if name in params}
    account |= {
        name: (account.get(name) or {}) | params.sub(name).values for name in MERGED if name in params
    }
    account["capabilities"] = account["capabilities"] | _capabilities(params.sub("capabilities"))
    account["metadata"] = params.merged_metadata(account["metadata"])
    schedule = params.sub("settings").sub("payouts").sub("schedule")
    if "interval" in schedule:
        payouts = account["settings"]["payouts"]
        chosen = payouts["schedule"] | {"interval": schedule.choice("interval", INTERVALS, "daily")}
        account["settings"] = account["settings"] | {"payouts": payouts | {"schedule": chosen}}
    return account


def _capabilities(params: Params) -> dict[str, str]:
    requested = {name: params.sub(name).boolean("requested") for name in params.values}
    return {
        name: "active" if wanted else "inactive" for name, wanted in requested.items() if wanted is not None
    }


routes.list("/v1/accounts", "account", params="AccountListParams")
