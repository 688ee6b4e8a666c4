"""A secret that was right may still not be good here, or now: why not."""

from datetime import datetime
from ipaddress import ip_address, ip_network

from gatepost.identity.verdict import Cause, is_foreign
from gatepost.model.account import Account, AccountState, Credential, CredentialKind


def restriction(
    account: Account, credential: Credential, client_address: str, at: datetime
) -> tuple[Cause | None, str]:
    """Return the cause for which a right credential is refused, with its detail; None for none.

    What is about the credential comes before what is about the account.
    """
    label = f'"{credential.label}" ' if credential.label else ""
    if credential.expires_at is not None and credential.expires_at <= at:
        return Cause.EXPIRED, f"{label}expired at {credential.expires_at:%Y-%m-%d %H:%M} UTC"
    try:
        is_within = not credential.networks or _is_within(client_address, credential.networks)
    except ValueError as unknown:  # a newer program knows more ways to say where
        return Cause.NEWER_CREDENTIAL, f"{label}is for {unknown}"
    if not is_within:
        return Cause.ADDRESS_NOT_ALLOWED, f"{label}is for {', '.join(credential.networks)}"
    if account.app_passwords_only and credential.kind is CredentialKind.PASSWORD:
        return Cause.APP_PASSWORD_REQUIRED, ""
    if account.state is not AccountState.SUSPENDED:
        return None, ""
    keeper = f'directory "{credential.label}"' if is_foreign(credential.id) else ""
    return Cause.SUSPENDED, keeper


def _is_within(client_address: str, networks: tuple[str, ...]) -> bool:
    """Tell whether an address is in one of the ranges. Raises ValueError: one is no range."""
    try:
        address = ip_address(client_address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ip_network(network) for network in networks)
