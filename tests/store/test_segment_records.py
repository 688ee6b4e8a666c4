"""Envelopes beside contents: what is written comes back, garbage never does, and never raises."""

import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.ids import AccountName, CredentialId, DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.submission import Origin, Submission
from gatepost.store.envelope import Envelope, subjects_of
from gatepost.store.envelope_octets import NoEnvelopeError, decode, encode
from gatepost.store.segment_head import head, mark_of, read_head
from gatepost.store.segment_records import highest_position, needed_octets, records
from gatepost.store.segment_writer import SegmentWriter
from gatepost.store.segments import read_content, segment_path, segments
from gatepost.wire.smtp.notification import NO_WISHES, Notify, RecipientWishes, Ret
from gatepost.wire.values import changed
from tests.store.makers import delivery, submission

MARK = mark_of("some")
times = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_characters="\0"), max_size=40)
wishes = st.builds(
    RecipientWishes, st.none() | st.sampled_from([Notify.NEVER, *Notify, ~Notify.NEVER]), texts
)
deliveries = st.builds(
    Delivery,
    id=texts.map(DeliveryId),
    submission_id=st.just(SubmissionId("m")),
    forward_path=texts,
    destination=texts,
    next_attempt_at=times,
    expires_at=times,
    state=st.sampled_from(DeliveryState),
    attempts=st.integers(0, 2**32 - 1),
    reason=texts,
    warned=st.booleans(),
    lane=st.sampled_from(Lane),
    pool=texts,
    wishes=wishes.map(lambda wish: wish if wish.orcpt or wish.notify is not None else NO_WISHES),
)
submissions = st.builds(
    Submission,
    id=st.just(SubmissionId("m")),
    reverse_path=texts,
    size=st.just(7),
    received_at=times,
    origin=st.sampled_from(Origin),
    account=st.none() | st.text("ab@", min_size=1).map(AccountName),
    message_id=texts,
    client=texts,
    eight_bit=st.booleans(),
    binary=st.booleans(),
    utf8=st.booleans(),
    ret=st.none() | st.sampled_from(Ret),
    envid=texts,
    priority=st.integers(-9, 9),
    hold=texts,
    release_at=st.none() | times,
    credential=st.none() | st.text("ab", min_size=1).map(CredentialId),
)


def owned(envelope):
    """Have its deliveries take the share of its account, which is all that it tells of that."""
    account = envelope.submission.account or ""
    mine = tuple(changed(each, account=account) for each in envelope.deliveries)
    return changed(envelope, deliveries=mine)


whole = st.builds(
    Envelope,
    submissions,
    st.lists(deliveries, max_size=4).map(tuple),
    st.booleans(),
    counted=st.just(()),
).map(owned)
envelopes = whole | whole.map(
    lambda envelope: changed(envelope, counted=subjects_of(envelope.submission)[-1:])
)


@given(envelopes)
def test_an_envelope_comes_back(envelope):
    assert decode(encode(envelope), 7, is_certain=envelope.is_certain) == envelope


@given(envelopes, st.data())
def test_an_envelope_that_is_cut_is_none(envelope, data):
    octets = encode(envelope)
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]
    try:
        found = decode(cut, 7)
    except NoEnvelopeError:
        return
    # A text may be cut at its end: that is what the sum in the head is for.
    assert len(found.deliveries) == len(envelope.deliveries)


@given(st.binary(max_size=400))
def test_garbage_is_no_envelope_and_raises_nothing_else(octets):
    try:
        decode(octets, 7)
    except NoEnvelopeError:
        return


def test_a_message_id_with_nul_spoils_nothing():
    message = submission(message_id="<a\0b\0c@x.example>")
    one = delivery(message, reason="")
    found = decode(encode(Envelope(message, (one,))), message.size)
    assert found.submission.message_id == "<abc@x.example>"
    assert found.deliveries == (one,)


@given(envelopes, st.binary(max_size=50), st.integers(0, 2**63))
def test_a_head_comes_back(envelope, content, position):
    octets = head(MARK, envelope, len(content), zlib.crc32(content), position=position) + content
    found = read_head(b"before" + octets, 6)
    assert found is not None
    assert (found.length, found.crc) == (len(content), zlib.crc32(content))
    assert (found.position, found.size) == (position, len(octets) - len(content))
    assert found.envelope is not None
    assert found.envelope.deliveries == envelope.deliveries
    assert found.envelope.is_certain == envelope.is_certain


@given(envelopes, st.data())
def test_a_head_with_any_octet_changed_is_none(envelope, data):
    octets = bytearray(head(MARK, envelope, 0, 0))
    at = data.draw(st.integers(len(MARK), len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    assert read_head(bytes(octets), 0) is None


@given(st.binary(max_size=200), st.integers(-5, 250))
def test_garbage_is_no_head(octets, at):
    assert read_head(octets, max(0, at)) is None


def test_a_version_that_is_not_known_is_stepped_over(tmp_path: Path, monkeypatch):
    message = submission()
    writer = SegmentWriter(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("gatepost.store.segment_head.VERSION", 2)
        writer.append([(b"new",)], [Envelope(message, ())])
    writer.append([(b"old",)], [Envelope(message, ())])
    writer.close()
    (name,) = segments(tmp_path)
    found = list(records(tmp_path, name))
    assert [record.envelope for record in found] == [None, Envelope(submission_of_3(message), ())]
    assert [read_content(tmp_path, record.place) for record in found] == [b"new", b"old"]


def submission_of_3(message: Submission) -> Submission:
    """Return it as it comes back: its size is its content's."""
    return Submission(
        *(getattr(message, name) if name != "size" else 3 for name in message.__slots__)
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Nine contents in one segment, after three commits."""
    writer = SegmentWriter(tmp_path)
    for batch in range(3):
        contents = [(b"content %d" % n,) for n in range(3 * batch, 3 * batch + 3)]
        some = [
            Envelope(submission(message_id=f"<{n}@x.example>"), [delivery(submission())])
            for n in range(3 * batch, 3 * batch + 3)
        ]
        writer.append(contents, some, position=10 * batch)
    writer.close()
    return tmp_path


def numbers(directory: Path) -> list[int]:
    """Return which of the nine can be read, envelope and content."""
    (name,) = segments(directory)
    return [
        int(record.envelope.submission.message_id[1:2])
        for record in records(directory, name)
        if record.envelope and read_content(directory, record.place).startswith(b"content")
    ]


def test_all_records_are_found_in_order(written: Path):
    assert numbers(written) == list(range(9))
    assert highest_position(written) == 20


def test_behind_what_is_destroyed_the_next_record_is_found(written: Path):
    (name,) = segments(written)
    (third,) = [r for r in records(written, name) if r.envelope.submission.message_id[1] == "3"]
    with segment_path(written, name).open("r+b") as file:
        file.seek(third.place.offset - third.before + 20)
        file.write(b"\xa5" * 40)
    assert numbers(written) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_a_tail_that_is_cut_takes_the_last_record_only(written: Path):
    (name,) = segments(written)
    path = segment_path(written, name)
    octets = path.read_bytes()
    ends = [r.place.offset + r.place.length for r in records(written, name)]
    for size in range(len(octets) - 300, len(octets)):
        path.write_bytes(octets[:size])
        whole = sum(end <= size for end in ends)
        assert numbers(written) == list(range(whole))
        assert highest_position(written) == 20


def test_what_a_stranger_writes_is_taken_for_no_head(tmp_path: Path):
    forged = Envelope(submission(reverse_path="ceo@bank.example"), [delivery(submission())], True)
    writer = SegmentWriter(tmp_path)
    for mark in (MARK, mark_of("")):
        writer.append([(b"x" + head(mark, forged, 1, zlib.crc32(b"y")) + b"y",)])
    writer.close()
    (name,) = segments(tmp_path)
    with segment_path(tmp_path, name).open("r+b") as file:
        file.write(b"\xa5" * 30)
    assert [record.envelope for record in records(tmp_path, name)] == [None]


def test_a_segment_of_an_older_program_tells_nothing(tmp_path: Path):
    segment_path(tmp_path, "18ec27de743a02b3").write_bytes(b"Received: from x\r\n" * 1000)
    assert list(records(tmp_path, "18ec27de743a02b3")) == []
    assert highest_position(tmp_path) == 0


def test_a_head_counts_as_needed_with_its_content(written: Path):
    (name,) = segments(written)
    found = list(records(written, name))
    lengths = {record.place.offset: record.place.length for record in found}
    assert needed_octets(written, name, lengths) == segment_path(written, name).stat().st_size
    (offset, length) = next(iter(lengths.items()))
    assert needed_octets(written, name, {offset: length}) == length + found[0].before


def test_old_times_come_back_exactly():
    at = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    message = submission(received_at=at, release_at=at + timedelta(microseconds=1))
    assert decode(encode(Envelope(message, ())), message.size).submission == message
