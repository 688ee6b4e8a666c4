"""Do `[[pool_rules]]` name accounts and credentials that are there? A typing error fits no mail, and nobody is told."""

from collections.abc import Iterator

from gatepost.model.ids import AccountName
from gatepost.model.settings import Settings
from gatepost.operate.check_finding import Finding, Grade
from gatepost.store.protocols import Reading
from gatepost.store.rows import NewerRowError

#: A token, or a directory's word, stands for a credential that no row has.
_FOREIGN = ("oauth", "directory/")


def pool_rule_findings(reading: Reading, settings: Settings) -> Iterator[Finding]:
    """Yield what rules name that nobody here has."""
    rules = settings.pool_rules
    named = {name for rule in rules for name in rule.credentials if not name.startswith(_FOREIGN)}
    unknown = named - _credentials(reading) if named else set()
    for number, rule in enumerate(rules, 1):
        subject = f"pool_rules no. {number}"
        for name in rule.accounts:
            if not _is_account(reading, AccountName(name)):
                what = f"there is no account {name} here: unless a directory or a token has it, nothing fits"
                mend = 'write one of "gatepost account list"'
                yield Finding(Grade.WARNING, subject, what, mend)
        for name in rule.credentials:
            if name in unknown:
                what = f"there is no credential {name}: nothing fits"
                mend = 'write an id of "gatepost account show NAME", or of "gatepost api-key list"'
                yield Finding(Grade.WARNING, subject, what, mend)


def _is_account(reading: Reading, name: AccountName) -> bool:
    try:
        return reading.account(name) is not None
    except NewerRowError:
        return True


def _credentials(reading: Reading) -> set[str]:
    """Return the ids of all credentials and API keys."""
    found: set[str] = {key.id for key in reading.api_keys()}
    found.update(one.id for one in reading.unread_credentials())
    for account in reading.accounts():
        found.update(one.id for one in reading.credentials(account.name))
    return found
