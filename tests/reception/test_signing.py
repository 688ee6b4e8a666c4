"""What goes out is signed by its author's domain, and by no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from gatepost.identity.master_key import MasterKey
from gatepost.model.domain import DkimKey, DkimKeyState, Domain, sealing_context
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, SubmissionId, WorkerId
from gatepost.model.submission import Submission
from gatepost.reception.accept import Acceptance, Accepted, signed
from gatepost.reception.signing import _LARGE, Signer, _cut, lifetime, sign_again
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.dkim.verify import DkimResult, verify
from gatepost.wire.message.header import Header, HeaderFault, scan
from gatepost.wire.message.limits import HEADER_FIELDS, HEADER_SECTION
from tests.wire.dkim.keys import keys, records
from tests.wire.dkim.vectors import BODY, HEADER

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = int(AT.timestamp())
MASTER = MasterKey(bytes(32))
DAYS = timedelta(days=5)


def domain_of_tests(name: str = "football.example.com", state=DkimKeyState.ACTIVE) -> Domain:
    made = []
    for key in keys():
        pem = key.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        sealed = MASTER.seal(pem, sealing_context(name, key.selector))
        made.append(DkimKey(key.selector, key.key_type, sealed, key.public, AT, state))
    return Domain(name, AT, tuple(made))


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    yield opened
    await opened.close()


async def signer_with(store, *domains: Domain, key: MasterKey = MASTER) -> Signer:
    for domain in domains:
        await store.write(lambda tx, domain=domain: tx.put_domain(domain))
    signer = Signer(store, key, DAYS)
    await signer.refresh()
    return signer


@pytest.mark.parametrize(
    ("author", "signs"),
    [
        ("joe@football.example.com", True),
        ("JOE@Football.Example.COM", True),
        ("joe@news.football.example.com", True),
        ("joe@a.b.football.example.com", True),
        ("joe@example.com", False),
        ("joe@xfootball.example.com", False),
        ("joe@football.example.com.evil.example", False),
        ("football.example.com", False),
        ("", False),
    ],
)
async def test_only_the_authors_domain_or_one_above_it_signs(store, author, signs):
    signer = await signer_with(store, domain_of_tests())
    made = await signer.sign((HEADER, b"\r\n", BODY), (author,), AT)
    expected = ("football.example.com/test", "football.example.com/brisbane") if signs else ()
    assert made.by == expected
    assert bool(made.prefix) is signs


async def test_the_nearest_domain_signs_even_where_its_keys_are_not_ready(store):
    near = domain_of_tests("news.football.example.com", DkimKeyState.PENDING)
    signer = await signer_with(store, domain_of_tests(), near)
    assert signer.keys_for(["joe@news.football.example.com"]) == ()
    assert len(signer.keys_for(["joe@old.football.example.com"])) == 2


async def test_mail_of_a_domain_whose_keys_do_not_open_does_not_leave_unsigned(store, caplog):
    signer = await signer_with(store, domain_of_tests(), key=MasterKey(b"x" * 32))
    made = await signer.sign((HEADER, b"\r\n", BODY), ("joe@football.example.com",), AT)
    assert "cannot be opened" in made.broken
    assert made.by == ("football.example.com",)
    assert not (await signer.sign((HEADER, b"\r\n", BODY), ("joe@other.example",), AT)).broken
    assert "does not sign" in caplog.text


@pytest.mark.parametrize("size", [0, 10_000, 255_000, 300_000, 3_000_000])
@pytest.mark.parametrize("step", [None, 70_001])
async def test_small_and_large_messages_verify(store, size, step):
    signer = await signer_with(store, domain_of_tests())
    body = (b"a line  of text \r\n" * (size // 18 + 1))[:size]
    content = HEADER + b"\r\n" + body
    step = step or len(content)
    pieces = tuple(content[at : at + step] for at in range(0, len(content), step))
    made = await signer.sign(pieces, ("joe@football.example.com",), AT)
    verdicts = verify(made.prefix + content, records(), NOW)
    assert [v.result for v in verdicts] == [DkimResult.PASS] * 2


LONGEST = {
    "octets": b"X-Filler: %b\r\n"
    % (b"x" * (HEADER_SECTION - len(HEADER) - len(b"X-Filler: \r\n"))),
    "fields": b"X: x\r\n" * (HEADER_FIELDS - HEADER.count(b"\r\n")),
}


@pytest.mark.parametrize("by", LONGEST)
@pytest.mark.parametrize("size", [100, _LARGE])
async def test_the_longest_header_that_is_taken_is_signed_with_what_we_add(store, by, size):
    signer = await signer_with(store, domain_of_tests())
    section = HEADER + LONGEST[by]
    assert isinstance(scan(section + b"\r\n"), Header)
    assert isinstance(scan(section + b"X: x\r\n\r\n"), HeaderFault)
    pieces = (b"Received: from a.example by b.example; now\r\n", section, b"\r\n", b"x" * size)
    made = await signer.sign(pieces, ("joe@football.example.com",), AT)
    assert len(made.by) == 2
    again = await sign_again(signer, ("football.example.com",), b"".join(pieces))
    assert again


@pytest.mark.parametrize("held", [timedelta(0), timedelta(days=30)])
async def test_a_signature_lasts_as_long_as_its_message_may_wait(store, held):
    signer = await signer_with(store, domain_of_tests())
    made = await signer.sign((HEADER, b"\r\n", BODY), ("joe@football.example.com",), AT, held)
    signed = [v.signature for v in verify(made.prefix + HEADER + b"\r\n" + BODY, records(), NOW)]
    assert {one.expires_at for one in signed} == {
        NOW + int((held + lifetime(DAYS)).total_seconds())
    }
    assert {one.signed_at for one in signed} == {NOW}


async def test_signing_changes_nothing_but_the_prefix_and_is_told(store):
    signer = await signer_with(store, domain_of_tests())
    submission = Submission(
        SubmissionId("1"), "", len(HEADER), AT, account=AccountName("joe@football.example.com")
    )
    event = Event(EventKind.ACCEPTED, AT, facts={"size": submission.size, "client": "192.0.2.1"})
    message = Accepted(submission, (), (HEADER,), event, ("joe@football.example.com",))
    to = Acceptance(store, "relay.example", 10**6, DAYS, signer=signer)
    done = await signed(message, to)
    assert done.pieces[1:] == message.pieces
    assert done.submission.size == sum(map(len, done.pieces)) == done.event.facts["size"]
    assert done.event.facts["signed"] == "football.example.com/test football.example.com/brisbane"
    foreign = replace(message, authors=("joe@other.example",))
    assert await signed(foreign, to) is foreign
    assert await signed(message, replace(to, signer=None)) is message


@pytest.mark.parametrize(
    ("author", "domains", "signs"),
    [
        (b"joe@football.example.com", ("football.example.com",), True),
        (b"joe@football.example.com", ("football.example.com", "other.example"), True),
        (b"joe@football.example.com", ("other.example",), False),
        (b"joe@football.example.com", (), False),
        (b"joe@other.example", ("football.example.com",), False),
        (b'(") <a@other.example> (") joe@football.example.com', ("football.example.com",), False),
    ],
)
async def test_only_who_signed_it_before_signs_it_again(store, author, domains, signs):
    signer = await signer_with(store, domain_of_tests())
    content = b"From: " + author + b"\r\nSubject: x\r\n\r\nhi\r\n"
    made = await sign_again(signer, domains, content)
    assert bool(made) is signs
    if signs:
        now = int(datetime.now(UTC).timestamp())
        verdicts = verify(made + content, records(), now)
        assert [v.result for v in verdicts] == [DkimResult.PASS] * 2
    assert await sign_again(signer, domains, b"From: joe@football.example.com\r\n" + content) == b""


async def test_a_change_by_another_process_is_heard_once_it_is_time(store):
    at = [0.0]
    signer = Signer(store, MASTER, DAYS, clock=lambda: at[0])
    await signer.note_version(1)
    assert signer.keys_for(["joe@football.example.com"]) == ()
    await store.write(lambda tx: tx.put_domain(domain_of_tests()))
    await signer.note_version(2)  # too soon after the last read
    assert signer.keys_for(["joe@football.example.com"]) == ()
    at[0] = 0.7
    await signer.note_version(2)
    assert len(signer.keys_for(["joe@football.example.com"])) == 2
    await store.write(lambda tx: tx.remove_domain("football.example.com"))
    at[0] = 1.4
    await signer.note_version(2)  # nothing said that anything changed
    assert len(signer.keys_for(["joe@football.example.com"])) == 2
    await signer.note_version(3)
    assert signer.keys_for(["joe@football.example.com"]) == ()


async def test_a_key_that_does_not_open_does_not_sign(store, caplog):
    domain = domain_of_tests()
    rsa, ed25519 = domain.keys
    swapped = replace(rsa, private_key=ed25519.private_key)
    signer = await signer_with(store, replace(domain, keys=(swapped, ed25519)))
    made = await signer.sign((HEADER,), ("joe@football.example.com",), AT)
    assert made.by == ("football.example.com/brisbane",)
    assert "DKIM key test of football.example.com does not sign" in caplog.text


@given(
    st.lists(st.binary(max_size=20), max_size=6), st.integers(0, 60), st.none() | st.integers(0, 60)
)
def test_octets_are_cut_out_of_pieces(pieces, start, end):
    whole = b"".join(pieces)
    cut = b"".join(_cut(pieces, start, end))
    assert cut.startswith(whole[start:end])
    if end is None:
        assert cut == whole[start:]
