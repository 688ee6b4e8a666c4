"""Look whether this configuration can serve here, and prove that it relays for nobody.

The settings have been read by then: their own faults were said with file and line.
"""

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import apsw

from gatepost.model.domain_name import parse_host_port
from gatepost.model.route import ClientCertificate
from gatepost.model.secret import Secret
from gatepost.model.settings import CertificateSettings, OauthSettings, Role, Settings
from gatepost.net import open_files
from gatepost.net.address import parse_socket_address
from gatepost.net.certificate import (
    CertificateError,
    CertificateInvalidError,
    read_certificate,
)
from gatepost.net.tls import FrontContexts, Verification, client_context
from gatepost.operate.check_accounts import ACCOUNTS, wide_grants
from gatepost.operate.check_content import content_findings
from gatepost.operate.check_directories import directory_findings
from gatepost.operate.check_egress import egress_findings
from gatepost.operate.check_finding import Finding, Grade
from gatepost.operate.check_names import name_findings
from gatepost.operate.check_owner import owner_findings
from gatepost.operate.check_postgresql import postgresql_findings
from gatepost.operate.check_routes import route_findings
from gatepost.operate.check_stored import stored_findings
from gatepost.operate.ownership import OwnershipError, become_owner
from gatepost.operate.serving import is_served
from gatepost.store.protocols import NewerDatabaseError, StoreUnavailableError
from gatepost.store.sqlite_connection import connect, refuse_old_sqlite
from gatepost.store.sqlite_place import DATABASE
from gatepost.store.sqlite_reading import SqliteReading
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.store.sqlite_upgrade import refuse_newer
from gatepost.store.sqlite_writer import is_full

#: The running server holds a lock on it.
_UNPRIVILEGED: Final = 1024
#: What to do about a state directory that takes no file.
_UNWRITABLE: Final = {
    errno.ENOSPC: "make room on its disk (df -h, df -i)",
    errno.EDQUOT: "make room: its owner's disk quota is spent",
    errno.EROFS: 'its disk is mounted read-only: "dmesg" tells why; mount it for writing',
    errno.ENOTDIR: "it is a file: name a directory",
}


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """A way by which a stranger's mail would be relayed, and what we would answer."""

    door: str
    reply: str


@dataclass(frozen=True, slots=True)
class Proof:
    """How many ways were tried without a login, and those that are open."""

    tried: int
    open_doors: tuple[OpenDoor, ...]


Prove = Callable[[Settings], Proof]


def check(
    settings: Settings, prove: Prove, now: datetime, *, config: Path | None = None
) -> list[Finding]:
    """Return all findings, fine ones included.

    Args:
        settings: what would be served.
        prove: walks every door without a login.
        now: for the certificates' dates.
        config: the file that the settings are of, for who serves must read it, too.

    """
    asked_by_root = os.geteuid() == 0
    return [
        *_hostname(settings),
        *_certificates(settings, now),
        *_ports(settings),
        *egress_findings(settings),
        *name_findings(settings),
        *route_findings(settings),
        *_relaying(settings, prove),
        *_open_files(settings),
        # Last: from here on, root is the owner of data_dir.
        *_data_dir(settings),
        # As the one who will have to read them.
        *(owner_findings(settings, config) if asked_by_root else ()),
        *_secret_files(settings),
        *_tokens(settings.auth.oauth),
        *directory_findings(settings.auth),
    ]


def _tokens(oauth: OauthSettings | None) -> Iterator[Finding]:
    """Keys alone say nothing of who issued a token: a set may be shared by many. An address that
    nobody has verified says nothing of whose a token is.
    """
    if oauth is None:
        return
    if oauth.issuer is None and (oauth.jwks_file or oauth.jwks_url):
        what = "it is not set: a token of anybody whose issuer uses these keys logs in, whatever its iss"
        mend = 'write issuer = "https://…", just as tokens say it in iss'
        yield Finding(Grade.WARNING, "auth.oauth.issuer", what, mend)
    if oauth.account_claim == "email" and not oauth.require_email_verified:
        what = "it is false: whoever may type any address at the issuer logs in as that account"
        mend = (
            "take it out, unless this issuer lets nobody have an address that it has not verified"
        )
        yield Finding(Grade.WARNING, "auth.oauth.require_email_verified", what, mend)


def _hostname(settings: Settings) -> Iterator[Finding]:
    if settings.hostname == "localhost":
        what = '"localhost" is nobody\'s name: other servers may refuse it'
        yield Finding(Grade.WARNING, "hostname", what, "write this server's full name")
    else:
        yield Finding(Grade.FINE, "hostname", settings.hostname)


def _certificates(settings: Settings, now: datetime) -> Iterator[Finding]:
    for pair in (settings.tls, *settings.tls.more):
        yield from _certificate(pair, now)


def _certificate(pair: CertificateSettings, now: datetime) -> Iterator[Finding]:
    subject = f"certificate {pair.certificate}"
    try:
        certificate = read_certificate(pair)
        FrontContexts([certificate])
    except CertificateError as error:
        yield Finding(Grade.FAULT, f"certificate {error.file}", error.problem, error.mend)
        return
    if now >= certificate.expires_at:
        what = f"it expired on {certificate.expires_at:%Y-%m-%d}"
        yield Finding(Grade.NO, subject, what, "renew it")
    elif warning := certificate.warning(now):
        what, _, mend = warning.removeprefix(f"{certificate.file}: ").partition("; ")
        yield Finding(Grade.WARNING, subject, what, mend)
    else:
        names = ", ".join(certificate.names)
        yield Finding(Grade.FINE, subject, f"{names}, until {certificate.expires_at:%Y-%m-%d}")
    if _others_may_read(pair.private_key):
        mend = f"chmod 600 {pair.private_key}"
        yield Finding(Grade.WARNING, f"key {pair.private_key}", "every user may read it", mend)


def _secret_files(settings: Settings) -> Iterator[Finding]:
    """Look at the files that routes and directories log in with."""
    found = []
    for route in settings.routes:
        found += [("password_file", route.password_file)]
        found += [("client_key", route.client_key)]
        if route.oauth is not None:
            found += [("client_secret_file", route.oauth.client_secret_file)]
            found += [("refresh_token_file", route.oauth.refresh_token_file)]
    found += [("secret_file", each.secret_file) for each in settings.auth.directories]
    for key, path in dict.fromkeys(found):
        if path is not None:
            yield _secret_file(f"{key} {path}", path, is_replaced=key == "refresh_token_file")
    pairs = [(r.client_certificate, r.client_key) for r in settings.routes]
    for chain, key_file in dict.fromkeys(pairs):
        if chain is not None and key_file is not None:
            yield _client_certificate(chain, key_file)


def _client_certificate(chain: Path, key: Path) -> Finding:
    subject = f"client_certificate {chain}"
    try:
        shown = ClientCertificate(chain.read_text("utf-8"), Secret(key.read_text("utf-8")))
        client_context(Verification.REQUIRED, shown=shown)
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not UTF-8 text"
        return Finding(Grade.FAULT, subject, words.lower(), "let the user that serves read both")
    except CertificateInvalidError as error:
        return Finding(Grade.FAULT, subject, error.problem, error.mend)
    return Finding(Grade.FINE, subject, "goes with its key")


def _may_write(directory: Path) -> bool:
    """Tell whether the user that serves may: root is that one by now."""
    return os.access(directory, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _secret_file(subject: str, path: Path, *, is_replaced: bool) -> Finding:
    try:
        empty = not path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not UTF-8 text"
        mend = "let the user that serves read it, and nobody else"
        return Finding(Grade.FAULT, subject, words.lower(), mend)
    if empty:
        return Finding(Grade.FAULT, subject, "it is empty", "write the secret into it")
    if is_replaced and not _may_write(path.resolve().parent):
        what = "its directory cannot be written, and the endpoint may send another token"
        mend = f"give {path.resolve().parent} to the user that serves, or move the file"
        return Finding(Grade.FAULT, subject, what, mend)
    if _others_may_read(path):
        return Finding(Grade.WARNING, subject, "every user may read it", f"chmod 600 {path}")
    return Finding(Grade.FINE, subject, "readable")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    data_dir = settings.data_dir
    subject = f"data_dir {data_dir}"
    try:
        become_owner(data_dir)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OwnershipError as error:
        yield Finding(Grade.FAULT, subject, error.what, error.mend)
        return
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        mend = _UNWRITABLE.get(error.errno or 0, "give it to the user that serves")
        yield Finding(Grade.FAULT, subject, f"it cannot be written: {words}", mend)
        return
    yield Finding(Grade.FINE, subject, "writable")
    if _others_may_read(data_dir):
        mend = f"chmod 700 {data_dir}"
        yield Finding(Grade.WARNING, subject, "every user may look into it", mend)
    if settings.store == "sqlite":
        yield from _store(data_dir, settings)
    else:
        yield from postgresql_findings(settings)


def _store(data_dir: Path, settings: Settings) -> Iterator[Finding]:
    """Look at the database without changing it: an older one is brought up to date by `serve`."""
    path = data_dir / DATABASE
    subject = f"store {path}"
    try:
        refuse_old_sqlite()
        if not path.exists():
            what = 'it will be made by the first "account add" or serve'
            yield Finding(Grade.FINE, subject, what)
            return
        connection = connect(path, readable_only=True)
        try:
            refuse_newer(connection)
            version = connection.execute("PRAGMA user_version").get
            wide = list(wide_grants(connection.execute(ACCOUNTS))) if version else []
            reading = SqliteReading(connection, data_dir)
            more = list(stored_findings(reading, settings)) if version >= len(VERSIONS) else []
        finally:
            connection.close()
    except NewerDatabaseError as error:
        what = f"a newer Gatepost wrote it ({error})"
        yield Finding(Grade.FAULT, subject, what, "update this Gatepost")
        return
    except (StoreUnavailableError, apsw.Error) as error:
        mend = 'is it a database of Gatepost? Where it is damaged, "gatepost store repair" saves what can be read'
        if is_full(data_dir):
            mend = "the disk is full: make room on it"
        yield Finding(Grade.FAULT, subject, str(error), mend)
        return
    yield Finding(Grade.FINE, subject, "readable")
    if is_full(data_dir):
        what = "it is full up to the reserve: new mail is put off (452); what waits is delivered"
        mend = (
            f"make room: du -sh {data_dir}/* tells what takes it, df -i whether files are too many"
        )
        yield Finding(Grade.NO, f"disk of {data_dir}", what, mend)
    yield from content_findings(data_dir)
    for grant in wide:
        yield Finding(Grade.WARNING, f"account {grant.account}", grant.what, grant.mend)
    yield from more


def _ports(settings: Settings) -> Iterator[Finding]:
    ours = is_served(settings.data_dir)
    places = [(each.role.value, each.address) for each in settings.listeners]
    if settings.http is not None:
        places.append(("http", settings.http.address))
        if not ip_address(parse_socket_address(settings.http.address).host).is_loopback:
            what = f"{settings.http.address} speaks no TLS: anybody on the way reads keys and mail"
            mend = "listen on 127.0.0.1, with a web server with TLS before it"
            yield Finding(Grade.WARNING, "http.address", what, mend)
    for role, address in places:
        subject = f"{role} {address}"
        problem = _cannot_bind(address)
        if problem is None:
            yield Finding(Grade.FINE, subject, "free")
        elif problem.errno == errno.EADDRINUSE and ours:
            yield Finding(Grade.FINE, subject, "in use, by the server that runs on this data_dir")
        elif problem.errno == errno.EADDRINUSE:
            mend = "stop the program that holds it, or choose another port"
            yield Finding(Grade.FAULT, subject, "in use by another program", mend)
        elif problem.errno == errno.EACCES:
            mend = f"start as root or with CAP_NET_BIND_SERVICE, or go above {_UNPRIVILEGED}"
            yield Finding(Grade.WARNING, subject, "this user may not open it", mend)
        else:
            words = (problem.strerror or str(problem)).lower()
            yield Finding(Grade.FAULT, subject, words, "is it an address of this machine?")


def _open_files(settings: Settings) -> Iterator[Finding]:
    """Look at the limit that a server gets that is started as `check` was."""
    files = open_files.granted()
    wanted, workers = settings.limits.connections, settings.workers or os.cpu_count() or 1
    mend = "LimitNOFILE= in systemd, ulimit -n in a shell"
    if files < open_files.FEWEST:
        what = f"{files} per process are too few, {open_files.FEWEST} the least"
        yield Finding(Grade.FAULT, "open files", what, mend)
    elif words := open_files.too_few(files, connections=wanted, workers=workers):
        yield Finding(Grade.WARNING, "open files", words, mend)


def _relaying(settings: Settings, prove: Prove) -> Iterator[Finding]:
    proof = prove(settings)
    for door in proof.open_doors:
        what = f"OPEN RELAY: {door.door}: answered {door.reply}"
        yield Finding(Grade.NO, "relaying", what, "do not serve this; report it as our fault")
    if not proof.open_doors:
        what = f"{proof.tried} ways tried without a login, none relays"
        yield Finding(Grade.FINE, "relaying", what)
    takes_mx = any(listener.role is Role.MX for listener in settings.listeners)
    if takes_mx and not settings.local_domains:
        what = "there is an mx listener, and no domain that it takes mail for"
        yield Finding(Grade.WARNING, "local_domains", what, "add [[local_domains]], or remove it")


def _cannot_bind(address: str) -> OSError | None:
    """Open and close a port, as the server would; return what stands in the way."""
    where = parse_host_port(address)
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((where.host, where.port))
    except OSError as error:
        return error
    return None


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH))
    except OSError:
        return False
