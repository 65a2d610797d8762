"""What an audit of the dependencies comes to: a vulnerability fails it, a database out of reach does not."""

from typing import Any

from sandbox.dependency_audit import verdict

SOUND = {"name": "sound", "version": "1.0", "vulns": []}
SICK = {"name": "sick", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
HOPELESS = {"name": "hopeless", "version": "3.0", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


def of(*dependencies: dict[str, Any]) -> tuple[bool, str]:
    found = verdict({"dependencies": list(dependencies), "fixes": []})
    return found.vulnerable, found.sentence


def test_what_is_known_to_be_vulnerable_fails() -> None:
    assert of(SOUND, SICK, HOPELESS) == (
        True,
        (
            "3 dependencies were audited, 2 vulnerabilities are known.\n"
            "sick 2.0: PYSEC-1, fixed in 2.1\nhopeless 3.0: PYSEC-2, fixed in no version"
        ),
    )


def test_nothing_known_is_well() -> None:
    assert of(SOUND) == (False, "1 dependencies were audited, 0 vulnerabilities are known.")


def test_an_audit_without_its_database_says_that_it_is_none() -> None:
    assert of(UNKNOWN) == (
        False,
        "The database of vulnerabilities could not be reached: nothing was audited.",
    )


def test_what_could_not_be_looked_up_is_named() -> None:
    vulnerable, sentence = of(SOUND, SICK, *[UNKNOWN] * 6)
    assert vulnerable
    assert sentence.endswith(f"6 could not be looked up: {', '.join(['unknown'] * 5)}, ….")
