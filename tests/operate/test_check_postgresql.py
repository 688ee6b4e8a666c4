"""What `check` says of a PostgreSQL: how it would be reached, what stands in the way, what it risks."""

from pathlib import Path

import pytest

from gatepost.operate import init
from gatepost.operate.check_finding import Grade
from gatepost.operate.check_postgresql import postgresql_findings
from gatepost.operate.configuration import load
from gatepost.store import postgresql_look
from gatepost.store.postgresql_look import Copies, LongRead, Seen, Way, copies_of, way_to
from gatepost.store.postgresql_trouble import trouble


@pytest.mark.parametrize(
    ("host", "at", "in_tls", "sslmode", "way"),
    [
        ("/run/postgresql", "", False, "", Way.OWN),
        ("@abstract", "", False, "", Way.OWN),
        ("localhost", "127.0.0.1", False, "", Way.OWN),
        ("localhost", "::1", False, "", Way.OWN),
        ("db.example", "127.0.0.1", False, "disable", Way.OWN),  # a tunnel
        ("db.example", "192.0.2.1", False, "disable", Way.CLEAR),
        ("db.example", "192.0.2.1", False, "prefer", Way.CLEAR),
        ("db.example", "2001:db8::1", True, "require", Way.UNPROVEN),
        ("db.example", "192.0.2.1", True, "verify-ca", Way.UNPROVEN),
        ("db.example", "192.0.2.1", True, "verify-full", Way.PROVEN),
    ],
)
def test_how_safe_the_way_is(host: str, at: str, in_tls: bool, sslmode: str, way: Way) -> None:
    assert way_to(host, at, in_tls=in_tls, sslmode=sslmode) is way


@pytest.mark.parametrize(
    ("names", "commits", "followers", "waited_for", "copies"),
    [
        ("", "on", 0, 0, Copies.NONE),
        ("", "on", 1, 0, Copies.LATE),
        ("", "on", 1, None, Copies.LATE),
        ("*", "on", 1, 1, Copies.WAITS),
        ("*", "on", 1, None, Copies.WAITS),
        ("db2", "on", 1, 0, Copies.MISSING),
        ("db2", "on", 0, None, Copies.MISSING),
        ("*", "local", 1, 1, Copies.LOCAL),
    ],
)
def test_what_a_commit_says_about_standbys(
    names: str, commits: str, followers: int, waited_for: int | None, copies: Copies
) -> None:
    assert copies_of(names, commits, followers, waited_for) is copies


AT = 'connection to server at "192.0.2.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "passes", "mend"),
    [
        (f"{AT}Connection refused Is the server running on that host?", True, "start it"),
        ("connection timeout expired", True, "reachable"),
        ("no answer within 10 s", True, "silent"),
        (f"{AT}FATAL: the database system is starting up", True, "wait"),
        (f"{AT}FATAL: the database system is shutting down", True, "start it again"),
        (f"{AT}session is read-only", True, "promote"),
        (f"{AT}FATAL: sorry, too many clients already", True, "max_connections"),
        (
            'could not translate host name "db.example" to address: Name or service not known',
            True,
            "spelled",
        ),
        (
            'connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory',
            True,
            "socket",
        ),
        ("server closed the connection unexpectedly", True, "reachable"),
        (
            f'{AT}FATAL: password authentication failed for user "gatepost"',
            False,
            "store_password_file",
        ),
        (f'{AT}FATAL: database "gatepots" does not exist', False, "CREATE DATABASE"),
        (f'{AT}FATAL: role "gatepots" does not exist', False, "CREATE ROLE"),
        ("permission denied for schema public", False, "OWNER"),
        (f"{AT}SSL error: certificate verify failed", False, "sslrootcert"),
        ("PostgreSQL 13 is too old, 14 is needed", False, "update"),
        ("the database's encoding is LATIN1, and must be UTF8", False, "ENCODING 'UTF8'"),
        # one host is down, the other one says why not
        (
            f"- {AT}Connection refused - {AT}FATAL: password authentication failed",
            False,
            "store_password_file",
        ),
        ("ein Server sagt es in seiner Sprache", False, "running"),
    ],
)
def test_some_trouble_passes_by_itself(said: str, passes: bool, mend: str) -> None:
    found = trouble(f"PostgreSQL: {said}")
    assert found.passes is passes
    assert mend in found.mend


def test_who_reads_for_long_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = LongRead("pg_dump, process 4711", 47 * 60)
    seen = Seen("18.1", 0, [], long_read=read)
    monkeypatch.setattr(postgresql_look, "look", lambda *_: seen)
    monkeypatch.setattr(postgresql_look, "ask", lambda *_: None)
    made = load(init.init(tmp_path, "relay.example").config, {})
    settings = made.model_copy(update={"store": "postgresql://127.0.0.1/gatepost"})
    (found,) = [f for f in postgresql_findings(settings) if f.grade is Grade.WARNING]
    assert "open for 47 minutes (pg_dump, process 4711)" in found.what
