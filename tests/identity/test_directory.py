"""An account as one session may use it."""

from dataclasses import replace
from datetime import UTC, datetime

from gatepost.identity.directory import Entry
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.lane import Lane
from gatepost.model.secret import Secret

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_a_session_has_its_credentials_lane_else_the_accounts() -> None:
    account = Account(AccountName("app"), ("@a.test",), NOW, lane=Lane.TRANSACTIONAL)
    plain = Credential(
        CredentialId("1"), account.name, CredentialKind.APP_PASSWORD, Secret("x"), created_at=NOW
    )
    bulk = replace(plain, id=CredentialId("2"), lane=Lane.BULK)
    entry = Entry(account, (plain, bulk))
    for credential, lane in ((plain, Lane.TRANSACTIONAL), (bulk, Lane.BULK)):
        speaking = entry.speaking_by(credential.id, NOW)
        assert speaking is not None
        assert speaking.lane is lane
