"""OpenSSL's names of cipher suites as the IANA registers them (RFC 8314 §4.3 wants those).

TLS 1.3 suites have one name. For TLS 1.2 the name is put together from its parts; checked
against `openssl ciphers -stdname` (OpenSSL 3.0) in the tests.
"""

import re
from functools import lru_cache
from typing import Final

_TLS_1_2: Final = re.compile(
    r"(?P<exchange>(?:ECDHE|DHE)-(?:ECDSA|RSA|DSS)-)?AES(?P<bits>128|256)-"
    r"(?P<mode>GCM-SHA256|GCM-SHA384|CCM8|CCM|SHA256|SHA384|SHA)"
)
_CHACHA: Final = re.compile(r"(?P<exchange>(?:ECDHE|DHE)-(?:ECDSA|RSA)-)CHACHA20-POLY1305")
_MODES: Final = {
    "GCM-SHA256": "GCM_SHA256", "GCM-SHA384": "GCM_SHA384", "CCM": "CCM", "CCM8": "CCM_8",
    "SHA": "CBC_SHA", "SHA256": "CBC_SHA256", "SHA384": "CBC_SHA384",
}  # fmt: skip


@lru_cache(maxsize=64)
def registered_name(openssl_name: str) -> str | None:
    """Return "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" for "ECDHE-RSA-AES128-GCM-SHA256"; None for
    a suite that we do not know (then the clause is left out, never guessed).
    """
    if re.fullmatch(r"TLS_[A-Z0-9_]+", openssl_name):
        return openssl_name
    if found := _CHACHA.fullmatch(openssl_name):
        return f"TLS_{_exchange(found['exchange'])}_WITH_CHACHA20_POLY1305_SHA256"
    if found := _TLS_1_2.fullmatch(openssl_name):
        exchange = _exchange(found["exchange"] or "RSA-")
        return f"TLS_{exchange}_WITH_AES_{found['bits']}_{_MODES[found['mode']]}"
    return None


def _exchange(text: str) -> str:
    return text.rstrip("-").replace("-", "_")
