"""What looks at the DNS come to, one after the other."""

from datetime import UTC, datetime, timedelta

import pytest

from gatepost.model.domain_look import DomainLook, Finding, Health, Standing, looked

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
GOOD, NOTE, MISSING, WRONG, UNKNOWN = (
    Standing.GOOD, Standing.NOTE, Standing.MISSING, Standing.WRONG, Standing.UNKNOWN,
)  # fmt: skip


def spf(standing: Standing) -> Finding:
    return Finding("SPF", "example.com", standing, "")


def key(selector: str, standing: Standing) -> Finding:
    return Finding("DKIM", f"{selector}._domainkey.example.com", standing, "")


def was(health: Health, *published: str) -> DomainLook:
    return DomainLook("example.com", NOON, health, NOON, (), frozenset(published))


@pytest.mark.parametrize(
    ("before", "findings", "health", "published"),
    [
        (None, [spf(GOOD), key("a", GOOD)], Health.GOOD, {"a"}),
        (None, [spf(NOTE), key("a", GOOD), key("b", NOTE)], Health.GOOD, {"a"}),
        (None, [spf(MISSING), key("a", GOOD)], Health.BAD, {"a"}),
        (None, [spf(GOOD), key("a", WRONG)], Health.BAD, set()),
        (None, [spf(UNKNOWN), key("a", UNKNOWN)], Health.UNSEEN, set()),
        (was(Health.GOOD, "a"), [spf(UNKNOWN), key("a", UNKNOWN)], Health.GOOD, {"a"}),
        (was(Health.BAD, "a"), [spf(UNKNOWN), key("a", GOOD)], Health.BAD, {"a"}),
        (was(Health.GOOD, "a"), [spf(UNKNOWN), key("a", MISSING)], Health.BAD, set()),
        (was(Health.GOOD, "a"), [spf(GOOD), key("b", GOOD)], Health.GOOD, {"b"}),
        (was(Health.GOOD, "a"), [spf(GOOD), key("b", UNKNOWN)], Health.GOOD, set()),
        (was(Health.BAD), [spf(GOOD), key("a", GOOD)], Health.GOOD, {"a"}),
    ],
)
def test_a_dns_that_is_silent_changes_nothing(
    before: DomainLook | None, findings: list[Finding], health: Health, published: set[str]
) -> None:
    look = looked(before, "example.com", findings, LATER)
    assert (look.health, look.published) == (health, frozenset(published))
    assert look.since == (NOON if before and before.health is health else LATER)
    assert (look.looked_at, look.findings) == (LATER, tuple(findings))
