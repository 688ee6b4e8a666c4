"""Accounts and credentials that only a newer program can read: refused as our trouble, not as wrong."""

from typing import Any

import pytest

from gatepost.identity.directory import NewerAccountError
from gatepost.identity.verdict import Cause, Consequence
from gatepost.model.secret import Secret
from tests.identity.people import (
    APP_PASSWORD,
    NAME,
    NOON,
    PASSWORD,
    People,
    account,
    app_password,
    main,
)

OTHER = "other@example.com"


async def change(people: People, sql: str) -> None:
    def job(transaction: Any) -> None:
        transaction.execute(sql)

    await people.store.write(job)
    people.directory.drop()


async def test_an_account_is_454_and_said_and_the_others_log_in(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    other = account(OTHER)  # type: ignore[arg-type]
    await people.put(account(), main())
    await people.put(other, main(of=other))
    await change(people, f"UPDATE account SET state = 'frozen' WHERE name = '{NAME}'")
    verdict = await people.plain(NAME, PASSWORD)
    assert verdict.cause is Cause.NEWER_ACCOUNT
    assert verdict.cause.consequence is Consequence.OUR_TROUBLE
    assert "'frozen'" in verdict.reason
    assert NAME in caplog.text
    assert (await people.plain(OTHER, PASSWORD)).is_granted
    with pytest.raises(NewerAccountError):  # once more, from memory
        await people.directory.find(NAME)


@pytest.mark.parametrize("column", ["kind = 'passkey'", "lane = 'slow'"])
async def test_what_we_cannot_check_is_not_called_wrong(people: People, column: str) -> None:
    await people.put(account(), main(), app_password())
    await change(people, f"UPDATE credential SET {column} WHERE id = 'app'")
    assert (await people.plain(NAME, PASSWORD)).is_granted
    verdict = await people.plain(NAME, APP_PASSWORD.reveal())
    assert verdict.cause is Cause.NEWER_CREDENTIAL
    assert verdict.cause.consequence is Consequence.OUR_TROUBLE
    assert '"printer"' in verdict.reason
    said, _ = await people.scram(NAME, "wrong")
    assert said.cause is Cause.NEWER_CREDENTIAL


async def test_guesses_at_such_an_account_are_counted(people: People) -> None:
    await people.put(account(), main(), app_password())
    await change(people, "UPDATE credential SET kind = 'passkey' WHERE id = 'app'")
    causes = [await people.cause(NAME, f"wrong {n}") for n in range(6)]
    assert causes == [Cause.NEWER_CREDENTIAL] * 5 + [Cause.LOCKED_PAIR]


async def test_a_certificate_that_we_cannot_read_leaves_passwords_wrong(people: People) -> None:
    await people.put(account(), main(), app_password())
    await change(
        people, "UPDATE credential SET kind = 'certificate', lane = 'slow' WHERE id = 'app'"
    )
    assert await people.cause(NAME, "wrong") is Cause.WRONG_PASSWORD


@pytest.mark.parametrize("verifier", ["$argon3$x", "{SHA3}x", "$2b$99$"])
async def test_a_hash_that_we_cannot_check_is_not_called_wrong(
    people: People, verifier: str
) -> None:
    second = main("another", id="second")
    await people.put(account(), main(verifier=Secret(verifier), scram=None), second)
    assert await people.cause(NAME, PASSWORD) is Cause.NEWER_CREDENTIAL
    assert (await people.plain(NAME, "another")).is_granted


async def test_a_network_that_we_cannot_read_lets_nobody_in(people: People) -> None:
    await people.put(account(), main(networks=("FR",)))
    verdict = await people.plain(NAME, PASSWORD)
    assert verdict.cause is Cause.NEWER_CREDENTIAL
    assert "'FR'" in verdict.reason


async def test_a_session_whose_credential_a_newer_program_changed_waits(people: People) -> None:
    await people.put(account(), main(), app_password())
    await change(people, "UPDATE credential SET lane = 'slow' WHERE id = 'app'")
    entry = await people.directory.find(NAME)
    assert entry is not None
    assert entry.speaking_by(entry.credentials[0].id, NOON) is not None
    with pytest.raises(NewerAccountError):
        entry.speaking_by(app_password().id, NOON)
