"""The control API under `/_control/`: what a test, a chaos run or an operator may do to this sandbox.

JSON in, JSON out, no authentication; described in `sandbox/stripe/README.md`.
"""
