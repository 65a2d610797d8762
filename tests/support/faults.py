"""What is injected, by its id, and what has to come of it: the rows of docs/evidence.md.

Tests name what they inject with `@pytest.mark.fault("S2")`. A test counts as one injection; one that injects
more, or draws from a seed, says so with pytest's own `record_property("injected", 50)` and
`record_property("seed", 7)`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """One row."""

    injected: str
    promised: str


FAULTS: Final[dict[str, Fault]] = {
    "K1": Fault(
        "`kill -9` of the worker at every point of every step: before the call, after Stripe accepted, after the "
        "commit, after the return",
        "every booking ends as if nothing had happened; one object at Stripe per decision",
    ),
    "K2": Fault(
        "the worker is stopped for 45 s, longer than a step may take, and goes on beside its retry",
        "no effect twice",
    ),
    "K3": Fault(
        "workers are replaced one after the other while bookings are under way",
        "no workflow fails, no step that was begun is cut short",
    ),
    "R1": Fault(
        "a workflow is reset to before its capture or transfer, or terminated and started again",
        "Postgres wins: no second capture, no second transfer",
    ),
    "R2": Fault(
        "what ops can press in the UI: pause, unpause, reset, options, cancel, terminate, one update twice",
        "the documented result, however often",
    ),
    "R3": Fault("the whole inbox is delivered twice more after everything ended", "nothing changes"),
    "S1": Fault(
        "Stripe answers 500, once, or for ever under the same key",
        "sent again under its key, found, or parked; never a new key blindly",
    ),
    "S2": Fault("Stripe acts and its answer is lost", "what was made is found; one object"),
    "S3": Fault(
        "429 with Retry-After, 409, a reset connection, a slow answer, broken JSON",
        "backed off as asked; no effect twice",
    ),
    "S4": Fault("Stripe forgets a key before the retry", "the look-up finds what was made"),
    "S5": Fault(
        "Stripe refuses for good: expired, cancelled, already captured, no balance, account restricted",
        "compensated or parked, in the closed vocabulary",
    ),
    "W1": Fault(
        "webhooks doubled up to fifty times at once, reordered, three days late, or never delivered",
        "the same end as in order",
    ),
    "W2": Fault(
        "the payment comes after its window", "Stripe decides; late money goes back or takes its slot again"
    ),
    "W3": Fault(
        "forged, foreign, old, future, missing and malformed signatures; rotations",
        "400 and no row, rotations pass",
    ),
    "W4": Fault(
        "bodies that are empty, huge, endless, deep, not text, not an event, or not ours",
        "a problem or ignored; never a 500, memory flat",
    ),
    "P1": Fault(
        "Postgres is restarted in immediate mode, or every session is cut, in mid-transaction",
        "no half journal; the pool recovers",
    ),
    "P2": Fault("serialization failures, deadlocks and an exhausted pool", "tried again, bounded"),
    "T1": Fault(
        "`kill -9` of Temporal in each wait, started again on the same file",
        "all resume; what was told meanwhile arrives",
    ),
    "T2": Fault(
        "Temporal is away for the API and its webhooks",
        "webhooks are kept, a booking is 503 and safe to repeat",
    ),
    "C1": Fault("the clock of API and worker is ten minutes off, either way", "only signatures notice"),
    "X1": Fault(
        "all of it at once, drawn from a seed",
        "every invariant; everything ends or asks for a person; nothing is lost",
    ),
    "M1": Fault("random walks through the pure model of the saga", "its invariants hold at every step"),
    "M2": Fault("random amounts, fees and currencies", "fee and share are the amount, to the minor unit"),
    "M3": Fault("random operations on the real ledger and calendar, at once", "Postgres and the model agree"),
    "M4": Fault("random schedules of events against the real workflow", "it ends where the model ends"),
    "M5": Fault("any order and any repetition of the same webhooks", "the same end, the same ledger"),
    "D1": Fault(
        "released histories are replayed by this code, and by a mutated workflow",
        "they replay; the mutated one does not",
    ),
    "N1": Fault(
        "a guard is taken away: key, look-up, exclusion constraint, inbox, signature, balance",
        "the harm that it prevents does happen",
    ),
    "A1": Fault(
        "generated requests to every operation, in generated sequences",
        "no server error, no answer outside its schema",
    ),
    "A2": Fault(
        "every route with every role, and with none",
        "what the table of rules says; a route without a rule fails",
    ),
    "A3": Fault("a canary e-mail address and every client secret", "in no log line and no history"),
}
