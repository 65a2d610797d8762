"""Tells the sandbox's Stripe where this stack's API takes webhooks."""

import httpx

from sandbox.errors import ChildFailedError
from sandbox.parts import Parts

PATH = "/api/webhooks/stripe"


async def register(parts: Parts) -> None:
    """Register the platform's and the Connect endpoint."""
    url, keys = f"{parts.api_url}{PATH}", parts.keys
    headers = {"Authorization": f"Bearer {keys.stripe_secret_key}"}
    ours = {url: (keys.webhook_secret, False), f"{url}/connect": (keys.connect_webhook_secret, True)}
    async with httpx.AsyncClient(base_url=parts.stripe_url, headers=headers, trust_env=False) as stripe:
        try:
            await _forget_earlier(stripe, set(ours))
            for endpoint, (secret, connect) in ours.items():
                body = {"url": endpoint, "secret": secret, "connect": connect}
                (await stripe.put("/_control/webhook_endpoints", json=body)).raise_for_status()
        except httpx.HTTPError as error:
            raise ChildFailedError(f"The sandbox's Stripe did not take our endpoints: {error}") from error


async def _forget_earlier(stripe: httpx.AsyncClient, ours: set[str]) -> None:
    """Remove the endpoints of a stack that ran on another port: deliveries there would be retried for days."""
    known = (await stripe.get("/v1/webhook_endpoints", params={"limit": 100})).raise_for_status()
    for endpoint in known.json()["data"]:
        if endpoint["url"].endswith((PATH, f"{PATH}/connect")) and endpoint["url"] not in ours:
            (await stripe.delete(f"/v1/webhook_endpoints/{endpoint['id']}")).raise_for_status()
