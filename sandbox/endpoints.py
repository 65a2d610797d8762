"""Tells the sandbox's Stripe where this stack's API takes webhooks."""

import httpx

from sandbox.errors import ChildFailedError
from sandbox.parts import Parts

PATH = "/api/webhooks/stripe"


async def register(parts: Parts) -> None:
    """Register the platform's and the Connect endpoint, and forget those of a stack that ran on other ports."""
    keys, ours = parts.keys, f"{parts.api_url}{PATH}"
    headers = {"Authorization": f"Bearer {keys.stripe_secret_key}"}
    async with httpx.AsyncClient(base_url=parts.stripe_url, headers=headers, trust_env=False) as stripe:
        try:
            known = (await stripe.get("/v1/webhook_endpoints", params={"limit": 100})).raise_for_status()
            for endpoint in known.json()["data"]:
                if endpoint["url"].endswith((PATH, f"{PATH}/connect")) and not endpoint["url"].startswith(
                    ours
                ):
                    (await stripe.delete(f"/v1/webhook_endpoints/{endpoint['id']}")).raise_for_status()
            for url, secret, connect in (
                (ours, keys.webhook_secret, False),
                (f"{ours}/connect", keys.connect_webhook_secret, True),
            ):
                body = {"url": url, "secret": secret, "connect": connect}
                (await stripe.put("/_control/webhook_endpoints", json=body)).raise_for_status()
        except httpx.HTTPError as error:
            raise ChildFailedError(
                f"The sandbox's Stripe did not take the webhook endpoints: {error}"
            ) from error
