"""What Prometheus is told about the API. Labels are route templates: ids would be without end."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REQUESTS: Final = Counter("http_requests", "Requests answered", ["method", "route", "status"])
LATENCY: Final = Histogram("http_request_duration_seconds", "Time until the answer", ["method", "route"])
INBOX_PENDING: Final = Gauge("inbox_pending", "Stripe events stored and not yet handled")
