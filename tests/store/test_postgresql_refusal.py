"""Whether a database is waited for depends on no language: servers speak their own, and say a code."""

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import open_postgresql
from gatepost.store.postgresql_connection import Address
from gatepost.store.postgresql_look import look
from gatepost.store.protocols import StoreAwayError, StoreUnavailableError
from tests.support.ports import free_port
from tests.support.refusing_postgresql import refusing_server

STARTS = ("57P03", "das Datenbanksystem kommt gerade hoch")
WRONG = ("28P01", "Passwort-Authentifizierung für Benutzer »gatepost« fehlgeschlagen")


def seen(hosts: str, *, ports: str) -> StoreUnavailableError:
    url = f"postgresql://gatepost@/gatepost?host={hosts}&port={ports}"
    with pytest.raises(StoreUnavailableError) as caught:
        look(Address(url), "SELECT 1")
    return caught.value


@pytest.mark.parametrize(
    ("code", "said", "severity", "passes", "mend"),
    [
        (*STARTS, "FATAL", True, "wait"),
        ("57P03", "システムが開始中です", "致命的エラー", True, "wait"),
        ("57P03", "система баз данных останавливается", "ВАЖНО", True, "start it again"),
        ("53300", "tut mir leid, schon zu viele Verbindungen", "FATAL", True, "max_connections"),
        ("25006", "nur lesend", "FATAL", True, "promote"),
        (*WRONG, "FATAL", False, "store_password_file"),
        ("28000", "Rolle »gatepost« existiert nicht", "FATAL", False, "CREATE ROLE"),
        ("28000", "kein pg_hba.conf-Eintrag für Host", "FATAL", False, "pg_hba.conf"),
        ("3D000", "Datenbank »gatepost« existiert nicht", "FATAL", False, "CREATE DATABASE"),
        ("42501", "keine Berechtigung für Datenbank gatepost", "FATAL", False, "OWNER"),
        ("XX000", "interner Fehler", "FATAL", False, "running"),
    ],
)
def test_what_a_server_says_goes_by_its_code(
    code: str, said: str, severity: str, passes: bool, mend: str
) -> None:
    with refusing_server(code, said, severity) as port:
        error = seen("127.0.0.1", ports=str(port))
    assert isinstance(error, StoreAwayError) is passes
    assert said in str(error)
    assert mend in error.mend


def test_of_several_hosts_the_one_that_says_why_it_does_not_let_us_in_counts() -> None:
    with refusing_server(*STARTS) as first, refusing_server(*WRONG) as second:
        error = seen("127.0.0.1,127.0.0.1", ports=f"{first},{second}")
        assert not isinstance(error, StoreAwayError)
        assert "store_password_file" in error.mend
        nobody = free_port()
        assert "store_password_file" in seen("127.0.0.1,127.0.0.1", ports=f"{nobody},{second}").mend
        assert isinstance(seen("127.0.0.1,127.0.0.1", ports=f"{first},{nobody}"), StoreAwayError)
        # One port is that of all hosts.
        assert isinstance(seen("127.0.0.1,localhost", ports=str(first)), StoreAwayError)


async def test_a_store_that_is_opened_goes_by_the_code_too() -> None:
    with refusing_server(*STARTS) as port:
        address = Address(f"postgresql://gatepost@127.0.0.1:{port}/gatepost")
        with pytest.raises(StoreAwayError, match="gerade hoch"):
            await open_postgresql(address, WorkerId("node/1/0"))
