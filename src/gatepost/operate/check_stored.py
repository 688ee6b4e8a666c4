"""What `check` asks a store that is as new as this program, or newer."""

from collections.abc import Iterator

from gatepost.model.settings import Settings
from gatepost.operate.check_accounts import keyless_findings, link_findings, unread_findings
from gatepost.operate.check_egress import waiting_findings
from gatepost.operate.check_finding import Finding
from gatepost.operate.check_key import key_findings
from gatepost.operate.check_pool_rules import pool_rule_findings
from gatepost.store.protocols import Reading


def stored_findings(reading: Reading, settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say of accounts, of rules that name them, of mail that waits for an address
    to leave from, and of the key.
    """
    yield from unread_findings(reading)
    yield from keyless_findings(reading, settings.auth.mechanisms)
    yield from link_findings(reading, settings.http.public_url if settings.http else None)
    yield from pool_rule_findings(reading, settings)
    yield from waiting_findings(reading)
    yield from key_findings(reading, settings.master_key)
