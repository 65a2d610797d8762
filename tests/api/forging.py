"""Signatures that open nothing, and those that do, as somebody would send them at a moment."""

from datetime import datetime, timedelta

from tests.api.calls import WEBHOOK_SECRETS, Json, event, signed

OLD_SECRET, NEW_SECRET = WEBHOOK_SECRETS


def forgeries(sent: Json, at: datetime) -> dict[str, str | None]:
    """Headers for `sent` that nobody may get in with, by what is wrong with them."""
    stamp, good = signed(sent, at=at)[1].split(",")
    return {
        "none": None,
        "empty": "",
        "forged": f"{stamp},v1={'0' * 64}",
        "another body's": signed(event(), at=at)[1],
        "another secret's": signed(sent, "whsec_other", at)[1],
        "old": signed(sent, at=at - timedelta(seconds=310))[1],
        "days old": signed(sent, at=at - timedelta(days=3))[1],
        "from the future": signed(sent, at=at + timedelta(seconds=310))[1],
        "v0 only": f"{stamp},{good.replace('v1=', 'v0=')}",
        "no signature": stamp,
        "no time": good,
        "two times": f"{stamp},{stamp},{good}",
        "no number for a time": f"t=now,{good}",
        "a negative time": f"t=-{int(at.timestamp())},{good}",
        "an endless time": f"t={'9' * 5000},{good}",
        "a time in other digits": f"t={''.join(chr(0x660 + int(digit)) for digit in stamp[2:])},{good}",
        "not ASCII": f"{stamp},v1=é",
        "words": "hello",
        "commas": ",,,,",
        "nulls": f"{stamp},v1=\x00",
    }


def rotations(sent: Json, at: datetime) -> dict[str, str]:
    """Headers for `sent` while a secret is exchanged, here or at Stripe."""
    stamp, old = signed(sent, OLD_SECRET, at)[1].split(",")
    new = signed(sent, NEW_SECRET, at)[1].split(",")[1]
    return {
        "signed with the old secret": f"{stamp},{old}",
        "signed with the new secret": f"{stamp},{new}",
        "signed with both": f"{stamp},{old},{new}",
        "signed with one of ours and one of nobody's": f"{stamp},v1={'0' * 64},{new}",
        "signed with v0 too": f"{stamp},{old},v0={'0' * 64}",
    }
