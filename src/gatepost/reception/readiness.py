"""May a domain sign yet? Its key must be published first, where the settings ask for that.

Signing with a key that nobody can fetch is as good as not signing: receivers that insist on DKIM
refuse such mail, and for good.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from gatepost.model.domain import DkimKeyState, Domain
from gatepost.model.domain_look import DomainLook
from gatepost.wire.records.dkim_key import KeyType
from gatepost.wire.smtp.replies import KEY_NOT_PUBLISHED, Reply


class Unpublished(StrEnum):
    """What is done with mail of a domain none of whose signing keys the DNS shows."""

    SIGN = "sign"
    REFUSE = "refuse"
    HOLD = "hold"


def is_ready(domain: Domain, look: DomainLook | None) -> bool:
    """Tell whether the DNS showed a key of those that sign, at the last look that could tell: an
    RSA key where there is one, for many receivers know no other.
    """
    signing = domain.in_state(DkimKeyState.ACTIVE)
    wanted = [key for key in signing if key.algorithm is KeyType.RSA] or signing
    return look is not None and any(key.selector in look.published for key in wanted)


def mode_of(domain: Domain, default: Unpublished) -> Unpublished:
    """Return what is done with mail of a domain while its key is not published."""
    return Unpublished(domain.unpublished) if domain.unpublished else default


def unready(
    domains: Sequence[Domain], looks: Mapping[str, DomainLook], default: Unpublished
) -> dict[str, Unpublished]:
    """Return the domains that are not ready and whose mail is not signed anyway."""
    return {
        domain.name: mode
        for domain in domains
        if (mode := mode_of(domain, default)) is not Unpublished.SIGN
        and not is_ready(domain, looks.get(domain.name))
    }


def refusal(domain: str) -> Reply:
    """Return what a client hears where such mail is refused: for now, it can be mended."""
    return KEY_NOT_PUBLISHED.about(domain)


def waits_for(domain: str) -> str:
    """Return why a delivery is held: the words by which it is found when the key is there."""
    return f"the DKIM key of {domain} is not published"
