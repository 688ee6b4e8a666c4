"""What has limits and a history of its own within an account: a credential, or a key of the API."""

from gatepost.model.account import Credential
from gatepost.model.api_key import ApiKey
from gatepost.model.ids import CredentialId
from gatepost.model.quota import Subject, credential_subject

Spender = Credential | ApiKey


def credential_of(spender: Spender) -> CredentialId:
    """Return under what its messages are kept."""
    return spender.credential if isinstance(spender, ApiKey) else spender.id


def subject_of(spender: Spender) -> Subject:
    """Return under what it is counted."""
    return credential_subject(credential_of(spender))


def words_for(spender: Spender) -> str:
    """Return what an operator calls it."""
    if isinstance(spender, ApiKey):
        return spender.label or f"API key {spender.id}"
    return spender.label or spender.kind.value
