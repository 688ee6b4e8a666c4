"""What stands in the way of a database: is it worth waiting for, and how is it mended?

A server's words are in its language: what it says goes by its code (SQLSTATE, `postgresql_refusal`), and
where it says it in English, the words tell more. libpq, PgBouncer and we ourselves have no codes, and
are never translated.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of trouble: words or codes that tell it, what to do, whether it may pass by itself."""

    words: str
    mend: str
    passes: bool = False
    codes: tuple[str, ...] = ()


_UNKNOWN: Final = Trouble("", "is it running, and reachable?")

#: The first that fits. What a server has answered comes before what keeps it from answering: of
#: several hosts, one may be down, and another one may say why it does not let us in.
_TROUBLES: Final = (
    Trouble(
        "password authentication failed",
        "put the right password into store_password_file or the URL",
        codes=("28P01",),
    ),
    Trouble("no password supplied", "name store_password_file, or write ~/.pgpass"),
    Trouble(
        "no encryption",
        "its pg_hba.conf wants TLS (hostssl): remove ?sslmode=… from the URL, or let this machine in"
        " without",
    ),
    Trouble("no pg_hba.conf entry", "let this machine in: pg_hba.conf on the database's machine"),
    Trouble("pg_hba.conf rejects", "let this machine in: pg_hba.conf on the database's machine"),
    Trouble(
        "requires a valid client certificate",
        "it lets in who shows a certificate: ?sslcert=FILE&sslkey=FILE",
    ),
    Trouble(
        "certificate authentication failed",
        "the client certificate (?sslcert=FILE) must bear the role's name, or pg_ident.conf map it",
    ),
    Trouble(
        "alert unknown ca",
        "the database does not trust our client certificate (?sslcert=FILE): ssl_ca_file there",
    ),
    Trouble("root certificate", "name its CA in the URL: ?sslrootcert=FILE"),
    Trouble("private key file", "chmod 600 it, for the user that serves, and write ?sslkey=FILE"),
    Trouble(
        "certificate file", "write ?sslcert=FILE&sslkey=FILE; the user that serves must read them"
    ),
    Trouble(
        "does not match host name",
        "write the host in the URL as the database's certificate has it",
    ),
    Trouble(
        "certificate verify failed",
        "name the CA that signed the database's certificate: ?sslrootcert=FILE; has it expired?",
    ),
    Trouble(
        "does not support SSL",
        "turn on ssl there, or write ?sslmode=disable where nobody listens in",
    ),
    Trouble(
        "permission denied",
        "let the role own the database: ALTER DATABASE … OWNER TO …",
        codes=("42501",),
    ),
    Trouble('role "', "make the role: CREATE ROLE … LOGIN PASSWORD '…'"),
    Trouble('database "', "make the database: CREATE DATABASE … OWNER …", codes=("3D000",)),
    Trouble(
        "authentication failed",
        "make the role there (CREATE ROLE … LOGIN), and let it in from this machine: pg_hba.conf",
        codes=("28000",),
    ),
    Trouble("no such database", "name the database to PgBouncer: [databases] in pgbouncer.ini"),
    Trouble("statement pooling", "set pool_mode = transaction (or session) in pgbouncer.ini"),
    Trouble(
        "unsupported startup parameter",
        "let PgBouncer pass it over: ignore_startup_parameters in pgbouncer.ini",
    ),
    Trouble("is too old", "update PostgreSQL"),
    Trouble(
        "must be UTF8",
        "make another one: CREATE DATABASE … OWNER … ENCODING 'UTF8' TEMPLATE template0 (mail that is in"
        " this one: pg_dump, and psql into that)",
    ),
    Trouble("the URL of the store", "mend it"),
    Trouble(
        "is an old primary",
        'keep it down until it follows the new one; where it is the right one (a copy was restored): "gatepost'
        ' store adopt", then start again',
        passes=True,
    ),
    Trouble(
        "read-only",
        "only standbys answer: promote one, or name the primary's host, too",
        passes=True,
        codes=("25006",),
    ),
    Trouble("could not go on with", "stop that one first", passes=True),
    Trouble(
        "lock timeout",
        "another program brings the tables up to date: wait",
        passes=True,
        codes=("55P03", "40P01"),
    ),
    Trouble("starting up", "it is coming up: wait", passes=True),
    Trouble("shutting down", "start it again", passes=True, codes=("57P01", "57P02")),
    Trouble("recovery", "it is coming up: wait", passes=True),
    Trouble(
        "not yet accepting connections",
        "it is coming up, or going down: wait, or start it again",
        passes=True,
        codes=("57P03",),
    ),
    Trouble("no more connections allowed", "raise max_client_conn in pgbouncer.ini", passes=True),
    Trouble(
        "too many",
        "raise max_connections there, or put PgBouncer in between",
        passes=True,
        codes=("53300",),
    ),
    Trouble(
        "could not translate host name",
        "is the host in the URL spelled right, and does this machine's resolver work?",
        passes=True,
    ),
    Trouble("onnection refused", "start it; is it that host and port?", passes=True),
    Trouble("timeout expired", "is it reachable, and does a firewall let us through?", passes=True),
    Trouble("no answer within", "it is there and silent: look at its machine", passes=True),
    Trouble("No such file or directory", "start it; is its socket in that directory?", passes=True),
    Trouble("no route to host", "is it reachable?", passes=True),
    Trouble("unreachable", "is it reachable?", passes=True),
    Trouble("onnection reset", "is it running, and reachable?", passes=True),
    Trouble("closed the connection", "is it running, and reachable?", passes=True),
    Trouble("server login", "is PostgreSQL behind PgBouncer running?", passes=True),
)


def trouble(said: str, codes: Collection[str] = ()) -> Trouble:
    """Return the kind of trouble that words, and codes of a server, tell of; what nobody knows does not
    pass by itself.
    """
    folded = said.casefold()
    return next(
        (
            one
            for one in _TROUBLES
            if one.words.casefold() in folded or not set(codes).isdisjoint(one.codes)
        ),
        _UNKNOWN,
    )
