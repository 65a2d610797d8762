"""What the worker counts, besides what the Temporal SDK does."""

from prometheus_client import Counter, Gauge

STEP_FAILURES = Counter("booking_step_failures", "Failed attempts at a step", ["step", "failure"])
INBOX_DELIVERED = Counter("stripe_events_delivered", "Stripe events taken off the inbox", ["result"])
INBOX_PENDING = Gauge("stripe_events_pending", "Stripe events that still wait for delivery")
