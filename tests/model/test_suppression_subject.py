"""Names of recipients and streams, as suppressions keep them."""

import pytest

from gatepost.model.suppression_subject import is_stream_name, parse_subject, subjects_of


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Bob@Example.COM", "bob@example.com"),
        (" bob@example.com ", "bob@example.com"),
        ("@Example.com", "@example.com"),
        ("example.com", "@example.com"),
        ("bob@grün.example", "bob@xn--grn-ioa.example"),
        ("", None),
        ("@", None),
        ("bob@", None),
        ("bob@-", None),
        ("a b@example.com", None),
        ("bob\x00@example.com", None),
        ("x" * 400 + "@example.com", None),
    ],
)
def test_a_subject(text: str, subject: str | None) -> None:
    assert parse_subject(text) == subject


def test_a_recipient_is_meant_by_its_address_and_its_domain() -> None:
    assert subjects_of("Bob@Example.com") == ("bob@example.com", "@example.com")
    assert subjects_of("nonsense") == ()


@pytest.mark.parametrize("name", ["news", "a.b-c_1", "x" * 64])
def test_a_stream_s_name(name: str) -> None:
    assert is_stream_name(name)


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "ü", "a\r\n"])
def test_no_stream_s_name(name: str) -> None:
    assert not is_stream_name(name)
