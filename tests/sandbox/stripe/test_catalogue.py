import stripe

from tests.sandbox.stripe.scenes import types_of_events


async def test_products_have_prices(api: stripe.StripeClient) -> None:
    product = await api.v1.products.create_async({"name": "Lesson", "metadata": {"service": "s1"}})
    price = await api.v1.prices.create_async({"product": product.id, "currency": "EUR", "unit_amount": 4500})
    assert (price.currency, price.unit_amount, price.type) == ("eur", 4500, "one_time")
    other = await api.v1.prices.create_async(
        {
            "product_data": {"name": "Class"},
            "currency": "usd",
            "unit_amount": 100,
            "recurring": {"interval": "month"},
        }
    )
    assert other.type == "recurring"
    mine = await api.v1.prices.list_async({"product": product.id, "active": True})
    assert [found.id for found in mine.data] == [price.id]
    shown = await api.v1.prices.retrieve_async(price.id, {"expand": ["product"]})
    assert shown.to_dict()["product"]["name"] == "Lesson"
    assert await types_of_events(api) == ["product.created", "price.created"] * 2


async def test_what_is_withdrawn_is_inactive(api: stripe.StripeClient) -> None:
    product = await api.v1.products.create_async(
        {"name": "Lesson", "default_price_data": {"currency": "usd", "unit_amount": 100}}
    )
    price = str(product.default_price)
    await api.v1.prices.update_async(price, {"active": False, "nickname": "old"})
    changed = await api.v1.products.update_async(product.id, {"active": False, "description": "No more."})
    assert (changed.active, changed.description) == (False, "No more.")
    assert (await api.v1.prices.list_async({"active": True})).data == []
    assert [found.id for found in (await api.v1.products.list_async({"active": False})).data] == [product.id]


async def test_customers_change_and_go(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async(
        {"email": "a@example.com", "name": "A", "metadata": {"x": "1"}}
    )
    changed = await api.v1.customers.update_async(customer.id, {"name": "B", "address": {"country": "DE"}})
    assert (changed.name, changed.email) == ("B", "a@example.com")
    listed = await api.v1.customers.list_async({"email": "a@example.com"})
    assert [found.id for found in listed.data] == [customer.id]
    assert (await api.v1.customers.delete_async(customer.id)).deleted
    assert (await api.v1.customers.list_async()).data == []
