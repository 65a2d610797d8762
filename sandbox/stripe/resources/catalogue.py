"""Products and prices."""

from sandbox.stripe.errors import invalid_request
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
PRODUCT_TEXTS = (
    "name",
    "description",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
    "default_price",
)
PRICE_TEXTS = ("nickname", "lookup_key", "tax_behavior")


@routes.post("/v1/products", params="ProductCreateParams")
def create_product(call: Call) -> Object:
    """Create a product, with a price when `default_price_data` is given."""
    product = _product(call, call.params)
    data = call.params.sub("default_price_data")
    if data.values:
        product["default_price"] = _price(call, data, product)["id"]
        call.save(product)
    return product


@routes.post("/v1/products/{id}", params="ProductUpdateParams")
def update_product(call: Call) -> Object:
    """Change what is given."""
    product = _described(call.params, call.named("product")) | {"updated": call.now}
    emit(call, "product.updated", call.save(product))
    return product


@routes.post("/v1/prices", params="PriceCreateParams")
def create_price(call: Call) -> Object:
    """Create a price of a product that exists, or of a new one in `product_data`."""
    product = call.referenced("product", "product")
    if product is None:
        if "product_data" not in call.params:
            raise invalid_request(
                "Missing required param: product.", code="parameter_missing", param="product"
            )
        product = _product(call, call.params.sub("product_data"))
    return _price(call, call.params, product)


@routes.post("/v1/prices/{id}", params="PriceUpdateParams")
def update_price(call: Call) -> Object:
    """Change what is given; a price's amount never changes."""
    price = _labelled(call.params, call.named("price"))
    emit(call, "price.updated", call.save(price))
    return price


def _product(call: Call, params: Params) -> Object:
    product = call.base("product") | {
        "active": True,
        "default_price": None,
        "description": None,
        "images": params.texts("images"),
        "marketing_features": [],
        "name": params.required("name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": call.now,
        "url": None,
    }
    call.add(_described(params, product))
    emit(call, "product.created", product)
    return product


def _described(params: Params, product: Object) -> Object:
    product |= {name: params.text(name) for name in PRODUCT_TEXTS if name in params}
    if "active" in params:
        product["active"] = params.boolean("active")
    product["metadata"] = params.merged_metadata(product["metadata"])
    return product


def _price(call: Call, params: Params, product: Object) -> Object:
    amount = params.integer("unit_amount")
    recurring = params.sub("recurring")
    price = call.base("price") | {
        "active": True,
        "billing_scheme": "per_unit",
        "currency": params.required("currency").lower(),
        "custom_unit_amount": None,
        "lookup_key": None,
        "nickname": None,
        "product": product["id"],
        "recurring": _recurring(recurring) if recurring.values else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring.values else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": None if amount is None else str(amount),
    }
    call.add(_labelled(params, price))
    emit(call, "price.created", price)
    return price


def _recurring(params: Params) -> Object:
    return {
        "interval": params.required("interval"),
        "interval_count": params.integer("interval_count") or 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": params.text("usage_type") or "licensed",
    }


def _labelled(params: Params, price: Object) -> Object:
    price |= {name: params.text(name) for name in PRICE_TEXTS if name in params}
    if "active" in params:
        price["active"] = params.boolean("active")
    price["metadata"] = params.merged_metadata(price["metadata"])
    return price


routes.retrieve("/v1/products/{id}", "product", params="ProductRetrieveParams")
routes.list("/v1/products", "product", params="ProductListParams", filters=("active",))
routes.retrieve("/v1/prices/{id}", "price", params="PriceRetrieveParams")
routes.list(
    "/v1/prices", "price", params="PriceListParams", filters=("active", "currency", "product", "type")
)
