"""A stateful stand-in for the HTTP API of Stripe, for the unmodified SDK; see README.md."""
