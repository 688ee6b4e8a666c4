"""By which groups two sides of TLS agree upon keys (RFC 8446 §4.2.7).

Python can name a single group, no list of them. So OpenSSL is told beneath it, as it is asked for channel
bindings there; `channel_binding.is_sound` tries this out, too.
"""

import _ssl
import ctypes
import ssl
from functools import cache
from typing import Final

#: openssl/ssl.h: SSL_CTRL_SET_GROUPS_LIST.
_SET_GROUPS_LIST: Final = 92


class GroupsRefusedError(Exception):
    """OpenSSL does not take a list of groups."""


def set_groups(context: ssl.SSLContext, names: str) -> None:
    """Have a context agree upon groups of these names only ("X25519:P-256"), the first one first.

    Only where `channel_binding.is_sound`. The `SSL_CTX *` is the first field of CPython's PySSLContext, behind the
    header (Modules/_ssl.c, 3.11 to 3.13).

    Raises:
        GroupsRefusedError: there is no such group, or something else is wrong.

    """
    place = id(context) + object.__basicsize__
    pointer = ctypes.c_void_p.from_address(place).value or 0
    if _control()(pointer, _SET_GROUPS_LIST, 0, names.encode("ascii")) != 1:
        raise GroupsRefusedError(names)


@cache
def _control() -> "ctypes._FuncPointer":
    """Return SSL_CTX_ctrl of the OpenSSL that the ssl module itself uses."""
    library = ctypes.CDLL(getattr(_ssl, "__file__", None))
    library.SSL_CTX_ctrl.restype = ctypes.c_long
    library.SSL_CTX_ctrl.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p
    ]  # fmt: skip
    return library.SSL_CTX_ctrl
