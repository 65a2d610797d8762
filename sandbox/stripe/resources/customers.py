"""Customers and the payment methods that they keep."""

from sandbox.stripe import ids
from sandbox.stripe.events import emit
from sandbox.stripe.resources.payment_methods import attach, resolve
from sandbox.stripe.routing import Routes, page
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
TEXTS = ("description", "email", "name", "phone")
OBJECTS = ("address", "shipping")


@routes.post("/v1/customers", params="CustomerCreateParams")
def create(call: Call) -> Object:
    """Create a customer, with a payment method attached when one is given."""
    settings = {
        "custom_fields": None,
        "default_payment_method": None,
        "footer": None,
        "rendering_options": None,
    }
    customer = call.base("customer") | {
        "address": None,
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": ids.token(8).upper(),
        "invoice_settings": settings,
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    call.add(_changed(call, customer))
    if "payment_method" in call.params:
        attach(call, resolve(call, call.params.required("payment_method")), customer)
    emit(call, "customer.created", customer)
    return customer


@routes.post("/v1/customers/{id}", params="CustomerUpdateParams")
def update(call: Call) -> Object:
    """Change what is given."""
    customer = call.save(_changed(call, call.named("customer")))
    emit(call, "customer.updated", customer)
    return customer


@routes.delete("/v1/customers/{id}", params="CustomerDeleteParams")
def delete(call: Call) -> Object:
    """Delete a customer for good."""
    customer = call.named("customer")
    call.store.delete(customer["id"])
    emit(call, "customer.deleted", customer)
    return {"id": customer["id"], "object": "customer", "deleted": True}


@routes.get("/v1/customers/{id}/payment_methods", params="CustomerPaymentMethodListParams")
def payment_methods(call: Call) -> Object:
    """The payment methods that a customer keeps."""
    customer = call.named("customer")
    where = {"customer": customer["id"], "type": call.params.text("type")}
    return page(call, "payment_method", f"/v1/customers/{customer['id']}/payment_methods", where)


def _changed(call: Call, customer: Object) -> Object:
    params = call.params
    customer |= {name: params.text(name) for name in TEXTS if name in params}
    customer |= {name: params.sub(name).values or None for name in OBJECTS if name in params}
    customer["metadata"] = params.merged_metadata(customer["metadata"])
    default = params.sub("invoice_settings").text("default_payment_method")
    if default is not None:
        customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": default}
    return customer


routes.retrieve("/v1/customers/{id}", "customer", params="CustomerRetrieveParams")
routes.list("/v1/customers", "customer", params="CustomerListParams", filters=("email",))
