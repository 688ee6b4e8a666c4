"""Ask an LDAP server (RFC 4511): search for an account, and bind as it to try a password.

Blocking, for a thread. ldap3 speaks the protocol; TLS is ours (its own does not send the server's
name, and compares names by itself). Referrals are not followed: they would carry a password to
whomever the answer names.
"""

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from gatepost.model.secret import Secret
from gatepost.net.tls import Verification, client_context
from gatepost.wire.ldap_text import filled

if TYPE_CHECKING:
    from ldap3 import Connection

#: RFC 4511 §4.1.9 and appendix A.
_SUCCESS: Final = 0
_NO_SUCH_OBJECT: Final = 32
#: A bind that was refused, and not because of trouble: invalidCredentials, inappropriate-
#: Authentication (no password is kept), constraintViolation, insufficientAccessRights,
#: unwillingToPerform (locked).
_REFUSED: Final = {49, 48, 19, 50, 53}
_WORDS: Final = 200
#: What ldap3 raises where an answer lacks a field, or has no text where text belongs.
_UNREADABLE: Final = (LookupError, TypeError, ValueError)


class LdapError(Exception):
    """No answer that one can go by, about this name at least; says why, never a password."""


class LdapAwayError(LdapError):
    """No server answers as it should, whatever it is asked."""


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """Where to ask, and what.

    `user_dn` is a template that leads straight to an account; without it `filter` searches below
    `base`. `timeout` in seconds, for each step with the server.
    """

    servers: tuple[str, ...]
    starttls: bool
    timeout: float
    ca_file: Path | None = None
    base: str = ""
    filter: str = ""
    user_dn: str | None = None
    reader_dn: str | None = None
    reader_password: Secret = field(default=Secret(""))
    attributes: tuple[str, ...] = ()
    suspended_filter: str | None = None


@dataclass(frozen=True, slots=True)
class LdapEntry:
    """An account as the server has it; `values` are those of the wanted attributes, in order."""

    dn: str
    values: tuple[str, ...] = ()
    is_suspended: bool = False


@dataclass(frozen=True, slots=True)
class LdapAnswer:
    """What came of a password. `entry` is None where there is no such account, or where a wrong
    password kept it from being read. `words` are the server's own, for the operator.
    """

    entry: LdapEntry | None
    right: bool = False
    words: str = ""


class Question:
    """One question to a server, which whoever waits for it may give up, from another thread: then its
    connection ends, and with it the question. Without that a server that says an octet now and then
    would keep a thread for as long as it likes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_over = False

    def goes_by(self, sock: socket.socket) -> None:
        """Note by which connection it goes now."""
        with self._lock:
            self._socket = sock
            is_over = self._is_over
        if is_over:
            _cut(sock)

    def give_up(self) -> None:
        """End it, wherever it is."""
        with self._lock:
            self._is_over = True
            sock = self._socket
        if sock is not None:
            _cut(sock)


class LdapClient:
    """One connection for each question; the server that answered last is asked first."""

    def __init__(self, settings: LdapSettings) -> None:
        """Take the settings. Raises ImportError without ldap3."""
        import ldap3  # noqa: F401, PLC0415 - said at the start, not at the first login

        self._settings = settings
        self._servers = list(settings.servers)

    @property
    def can_look_up(self) -> bool:
        """Tell whether an account can be found without its password."""
        return self._settings.user_dn is None or self._settings.reader_dn is not None

    @property
    def has_attributes(self) -> bool:
        """Tell whether an entry's own values say what it may send as."""
        return bool(self._settings.attributes)

    def find(self, names: Mapping[str, str], question: Question | None = None) -> LdapEntry | None:
        """Return an account, found by whoever may read. `names` fill the templates.

        Raises:
            LdapError: no answer, a refusal, or more than one account.

        """
        with self._connected(question or Question()) as connection:
            self._bind_reader(connection)
            return self._entry(connection, names)

    def check(
        self, names: Mapping[str, str], password: Secret, question: Question | None = None
    ) -> LdapAnswer:
        """Try a password.

        Raises:
            LdapError: as `find` does.
            ValueError: it is empty. A bind without a password proves nothing, and succeeds (RFC
                4513 §5.1.2).

        """
        if not password.reveal():
            msg = "an empty password proves nothing"
            raise ValueError(msg)
        with self._connected(question or Question()) as connection:
            if self._settings.user_dn is not None:
                dn = filled(self._settings.user_dn, names)
                right, words = self._bind_as(connection, dn, password)
                entry = self._read(connection, dn) if right else None
                return LdapAnswer(entry, right, words)
            self._bind_reader(connection)
            entry = self._entry(connection, names)
            if entry is None:
                return LdapAnswer(None)
            right, words = self._bind_as(connection, entry.dn, password)
            return LdapAnswer(entry, right, words)

    # -- steps

    def _entry(self, connection: "Connection", names: Mapping[str, str]) -> LdapEntry | None:
        if self._settings.user_dn is not None:
            return self._read(connection, filled(self._settings.user_dn, names))
        wanted = filled(self._settings.filter, names)
        found = self._search(connection, self._settings.base, wanted, "SUBTREE")
        if len(found) > 1:
            raise LdapError(f"{len(found)} or more entries fit one name: make the filter stricter")
        return self._judged(connection, found[0]) if found else None

    def _read(self, connection: "Connection", dn: str) -> LdapEntry | None:
        found = self._search(connection, dn, "(objectClass=*)", "BASE", absent_is_none=True)
        return self._judged(connection, found[0]) if found else None

    def _judged(self, connection: "Connection", found: Mapping[str, Any]) -> LdapEntry:
        dn, rows = str(found["dn"]), found["raw_attributes"]
        values = tuple(
            octets.decode("utf-8", "replace")
            for attribute in self._settings.attributes
            for octets in rows.get(attribute, ())
        )
        suspended = self._settings.suspended_filter
        is_suspended = suspended is not None and bool(
            self._search(connection, dn, suspended, "BASE")
        )
        return LdapEntry(dn, values, is_suspended)

    def _search(
        self,
        connection: "Connection",
        base: str,
        wanted: str,
        scope: Literal["BASE", "SUBTREE"],
        *,
        absent_is_none: bool = False,
    ) -> list[Mapping[str, Any]]:
        connection.search(
            base,
            wanted,
            search_scope=scope,
            attributes=list(self._settings.attributes) or ["1.1"],
            size_limit=2,
        )
        result = connection.result
        entries = [e for e in connection.response or () if e["type"] == "searchResEntry"]
        if absent_is_none and result["result"] == _NO_SUCH_OBJECT:
            return []
        if result["result"] != _SUCCESS and len(entries) < 2:
            raise LdapError(f"the search below {base or 'the root'} failed: {_said(result)}")
        return entries

    def _bind_reader(self, connection: "Connection") -> None:
        dn = self._settings.reader_dn
        if dn is None:
            return  # anonymous
        right, words = self._bind_as(connection, dn, self._settings.reader_password)
        if not right:
            raise LdapAwayError(f"reader_dn cannot log in: {words}")

    def _bind_as(self, connection: "Connection", dn: str, password: Secret) -> tuple[bool, str]:
        connection.rebind(user=dn, password=password.reveal(), authentication="SIMPLE")
        result = connection.result
        if result["result"] == _SUCCESS:
            return True, ""
        if result["result"] in _REFUSED:
            return False, _said(result)
        raise LdapError(f"the bind failed: {_said(result)}")

    # -- connections

    @contextlib.contextmanager
    def _connected(self, question: Question) -> Iterator["Connection"]:
        """Give a connection to the first server that answers; trouble on it is LdapAwayError."""
        from ldap3.core import exceptions as e  # noqa: PLC0415

        connection = self._connect(question)
        away = (
            e.LDAPCommunicationError,
            e.LDAPStartTLSError,
            e.LDAPResponseTimeoutError,
            e.LDAPBindError,  # no answer to a bind; a refusal is none of these
            OSError,
        )
        try:
            yield connection
        except away as problem:
            raise LdapAwayError(f"{self._servers[0]}: {_trouble(problem)}") from None
        except (e.LDAPException, *_UNREADABLE) as problem:  # about what was asked
            raise LdapError(f"{self._servers[0]}: {_trouble(problem)}") from None
        finally:
            with contextlib.suppress(e.LDAPException, OSError):
                connection.unbind()

    def _connect(self, question: Question) -> "Connection":
        from ldap3.core.exceptions import LDAPException  # noqa: PLC0415

        troubles = []
        end = time.monotonic() + self._settings.timeout
        for url in list(self._servers):
            try:
                connection = self._open(urlsplit(url), question)
            except (LDAPException, OSError, *_UNREADABLE) as problem:
                troubles.append(f"{url}: {_trouble(problem)}")
                if time.monotonic() >= end:
                    break
                continue
            if url != self._servers[0]:
                self._servers = [url, *(u for u in self._servers if u != url)]
            return connection
        raise LdapAwayError("; ".join(troubles))

    def _open(self, url: SplitResult, question: Question) -> "Connection":
        import ldap3  # noqa: PLC0415

        host = url.hostname or ""
        implicit = url.scheme == "ldaps"
        server = ldap3.Server(
            host,
            port=url.port or (636 if implicit else 389),
            use_ssl=implicit,
            tls=_tls(host, self._settings.ca_file, question),
            get_info=ldap3.NONE,
            connect_timeout=self._settings.timeout,
        )
        connection = ldap3.Connection(
            server,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            check_names=False,
            raise_exceptions=False,
            receive_timeout=math.ceil(self._settings.timeout),  # whole seconds only
        )
        connection.open(read_server_info=False)
        if not implicit:
            question.goes_by(connection.socket)
            _send_at_once(connection.socket)
        if self._settings.starttls and not implicit:
            connection.start_tls(read_server_info=False)
        return connection


def _tls(host: str, ca_file: Path | None, question: Question) -> Any:  # noqa: ANN401 - a class of ldap3
    """Return TLS as ldap3 wants it, done by a context of ours: chain and name are verified."""
    from ldap3 import Tls  # noqa: PLC0415

    context = client_context(Verification.REQUIRED, ca_file)

    class VerifiedTls(Tls):
        def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ANN401, ARG002
            _send_at_once(connection.socket)
            connection.socket = wrapped = context.wrap_socket(
                connection.socket, server_hostname=host, do_handshake_on_connect=False
            )
            question.goes_by(wrapped)
            wrapped.do_handshake()

    return VerifiedTls(validate=ssl.CERT_REQUIRED)


def _send_at_once(sock: socket.socket) -> None:
    """Do not wait for company: each step of a login took 40 ms longer for it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _cut(sock: socket.socket) -> None:
    """End a connection under whoever reads from it; what speaks TLS over it is left alone."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _said(result: Mapping[str, Any]) -> str:
    """Return an operation's result in the server's words, one line."""
    words = f"{result['description']} ({result['result']})"
    message = " ".join(str(result.get("message") or "").split())
    return f"{words}: {message[:_WORDS]}" if message else words


def _trouble(problem: Exception) -> str:
    words = " ".join(str(problem).split()) or type(problem).__name__
    return words[:_WORDS]
