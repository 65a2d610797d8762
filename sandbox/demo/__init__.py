"""`python -m sandbox.demo`: one booking of each kind, played from outside, and a check of every cent."""
