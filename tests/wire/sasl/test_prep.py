"""SASLprep (RFC 4013)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.sasl.prep import prepare_name, saslprep


@pytest.mark.rfc("4013#3")
@pytest.mark.parametrize(
    ("text", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX")],
)
def test_examples_of_the_rfc(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.rfc("4013#3")
@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031"])
def test_refused_examples_of_the_rfc(text: str) -> None:
    with pytest.raises(ValueError):
        saslprep(text)


@pytest.mark.rfc("4013#2.1")
@pytest.mark.parametrize(
    ("text", "prepared"),
    [("a\u00a0b", "a b"), ("a\u200bb", "a b"), ("p\u00e4ss", "p\u00e4ss"), ("pa\u0308ss", "p\u00e4ss"), ("", "")],
)  # fmt: skip
def test_spaces_are_mapped_and_forms_normalised(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.rfc("4013#2.3")
@pytest.mark.parametrize(
    "text",
    ["a\0b", "a\nb", "\x7f", "\u0085", "\ue000", "\ufffe", "\ud800", "\u2ff0", "\u202e"],
)
def test_prohibited_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="U\\+"):
        saslprep(text)


@pytest.mark.rfc("4013#2.5")
def test_new_characters_may_be_asked_for_and_not_stored() -> None:
    assert saslprep("\U0001f511") == "\U0001f511"
    with pytest.raises(ValueError, match="1F511"):
        saslprep("\U0001f511", stored=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("App@Example.com", "app@example.com"),
        ("STRASSE", "strasse"),
        ("Stra\u00dfe", "strasse"),
        ("\u00c4pp", "\u00e4pp"),
        ("\u2168", "ix"),
    ],
)
def test_names_are_case_folded(text: str, name: str) -> None:
    assert prepare_name(text) == name


@pytest.mark.parametrize("text", ["", "\u00ad", "a\0"])
def test_a_name_must_be_something(text: str) -> None:
    with pytest.raises(ValueError):
        prepare_name(text)


@pytest.mark.parametrize("text", ["a" * 1025, "\ufdfa" * 57], ids=["long", "eighteen letters each"])
def test_what_is_too_long_is_not_looked_at_letter_by_letter(text: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        saslprep(text)


@pytest.mark.parametrize("text", ["a" * 256, "\ufdfa" * 15], ids=["long", "eighteen letters each"])
def test_a_name_is_as_long_as_an_account_s_may_be(text: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        prepare_name(text)
    assert prepare_name("a" * 255) == "a" * 255


@given(st.text())
def test_preparing_never_raises_anything_else_and_what_is_stored_is_stable(text: str) -> None:
    try:
        prepared = saslprep(text, stored=True)
        name = prepare_name(text, stored=True)
    except ValueError:
        return
    assert saslprep(prepared) == prepared
    assert prepare_name(name) == name
