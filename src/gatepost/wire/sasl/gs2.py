"""What SCRAM and OAUTHBEARER share: the GS2 header (RFC 5801 §4), and how a name is quoted."""

import re
from dataclasses import dataclass
from typing import Final

_BINDING_TYPE: Final = re.compile(r"[A-Za-z0-9.-]+")
#: RFC 6750 §2.1.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_QUOTED: Final = re.compile(r"=(?!2C|3D)")


@dataclass(frozen=True, slots=True)
class Gs2Header:
    """`flag` is "n", "y" or "p"; `binding_type` goes with "p". `text` is the header as it came,
    `rest` what stands behind it.
    """

    flag: str
    binding_type: str | None
    authzid: str
    text: str
    rest: str


def read_gs2_header(message: str) -> Gs2Header:
    """Take the header off a message: gs2-cbind-flag "," [authzid] ",".

    An authzid of no letters ("a=", as GNU SASL says it) is none.

    Raises:
        ValueError: not of the form.

    """
    flag, comma, behind = message.partition(",")
    authzid, second, rest = behind.partition(",")
    binding_type = flag[2:] if flag.startswith("p=") else None
    good_flag = _BINDING_TYPE.fullmatch(binding_type) if binding_type else flag in {"n", "y"}
    if not (comma and second and good_flag):
        msg = "not a GS2 header"
        raise ValueError(msg)
    if authzid and not authzid.startswith("a="):
        msg = "not an authzid"
        raise ValueError(msg)
    text = message[: len(message) - len(rest)]
    return Gs2Header(flag[0], binding_type, unquote_name(authzid[2:]), text, rest)


def quote_name(name: str) -> str:
    """Return a saslname: "," and "=" in another form (RFC 5801 §4, RFC 5802 §5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unquote_name(quoted: str) -> str:
    """Return the name that a saslname stands for.

    Raises:
        ValueError: a "=" that is not quoted, or a NUL.

    """
    if _QUOTED.search(quoted) or "\0" in quoted:
        msg = "a name is not quoted as it should be"
        raise ValueError(msg)
    return quoted.replace("=2C", ",").replace("=3D", "=")


def bearer_token(authorization: str) -> str | None:
    """Return the token of "Bearer TOKEN" (the scheme in any case: RFC 7628 §4); None: there is none."""
    scheme, space, token = authorization.partition(" ")
    token = token.strip(" ")
    if not space or scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        return None
    return token
