"""Make a first set-up: gatepost.toml, a state directory, a self-signed certificate."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatepost.model.domain_name import parse_full_domain
from gatepost.model.wrong import WrongValueError
from gatepost.net.certificate import make_self_signed
from gatepost.operate.configuration import FILE_NAME
from gatepost.operate.template import TEMPLATE

#: Loopback, and ports that need no root: nothing is open to the world before somebody says so.
LOOPBACK: Final = (
    ("127.0.0.1:2587", "submission"),
    ("127.0.0.1:2465", "submissions"),
    ("127.0.0.1:2525", "mx"),
)
#: The registered ports (RFC 6409, RFC 8314, RFC 5321) on all addresses.
EVERYWHERE: Final = tuple(
    (f"{host}:{port}", role)
    for port, role in ((587, "submission"), (465, "submissions"), (25, "mx"))
    for host in ("0.0.0.0", "[::]")  # noqa: S104 - asked for by name
)
_CAPTURE: Final = """
# Mail for any domain is kept for looking at (queue list --captured); nothing leaves the machine.
[[routes]]
match = ["*"]
via = "capture"
"""


class InitError(Exception):
    """Nothing was made; `what` and `mend` are for a person."""

    def __init__(self, what: str, mend: str) -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}: {mend}")


@dataclass(frozen=True, slots=True)
class SetUp:
    """What there is now. `kept` names files that were there before and were left alone."""

    config: Path
    data_dir: Path
    hostname: str
    listeners: tuple[tuple[str, str], ...]
    kept: tuple[Path, ...]


def guess_hostname() -> str:
    """Return this machine's full name if it knows one, else "localhost". Asks no DNS."""
    try:
        return parse_full_domain(socket.gethostname())
    except WrongValueError:
        return "localhost"


def init(
    directory: Path,
    hostname: str,
    *,
    listeners: Sequence[tuple[str, str]] = LOOPBACK,
    capture: bool = False,
) -> SetUp:
    """Write a set-up into `directory`, which is made where it is not.

    A certificate, key or state directory that is there already is kept.

    Raises:
        InitError: there is a gatepost.toml already, or the directory cannot be written.

    """
    config = directory / FILE_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if config.exists():
            what = f"{config} is there already"
            raise InitError(what, "edit it, or name another directory")
        kept = _make_certificate(directory, hostname)
        data_dir = directory / "state"
        if data_dir.is_dir():
            kept = (*kept, data_dir)
        else:
            data_dir.mkdir(mode=0o700)
        text = _text(hostname, listeners) + (_CAPTURE if capture else "")
        _write(config, text.encode("utf-8"), 0o644)
    except OSError as error:
        what = f"{error.filename or directory}: {error.strerror or error}".lower()
        raise InitError(what, "name a directory that this user may write") from None
    return SetUp(config, data_dir, hostname, tuple(listeners), kept)


def _make_certificate(directory: Path, hostname: str) -> tuple[Path, ...]:
    """Return the files that were there: then nothing was made."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    kept = tuple(path for path in (certificate, key) if path.exists())
    if len(kept) == 1:
        other = key if kept[0] == certificate else certificate
        raise InitError(f"{kept[0]} is there, and {other} is not", "add it, or remove the one")
    if not kept:
        names = dict.fromkeys((hostname, "localhost", "127.0.0.1", "::1"))
        chain, private_key = make_self_signed(list(names))
        _write(key, private_key, 0o600)
        _write(certificate, chain, 0o644)
    return kept


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Make a new file; nobody else can read a key, not even for a moment."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as opened:
        opened.write(octets)


def _text(hostname: str, listeners: Sequence[tuple[str, str]]) -> str:
    comments = {
        "submission": "STARTTLS, login required",
        "submissions": "TLS from the first octet, login required",
        "mx": "from other servers, for [[local_domains]] only; never a login",
    }
    blocks = [
        f'[[listeners]]\naddress = "{address}"\nrole = "{role}"  # {comments[role]}\n'
        + ("" if role == "mx" else "#client_certificates = false       # true: ask, for EXTERNAL\n")
        + '#proxy_protocol_from = ["10.0.0.5"]   # load balancers that send a PROXY header, and must\n'
        for address, role in listeners
    ]
    return TEMPLATE.replace("{hostname}", hostname).replace("{listeners}", "\n".join(blocks))
