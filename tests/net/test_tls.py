"""Contexts: certificates by name, reload, resumption over forks, versions, verification."""

import ssl
import tempfile
from pathlib import Path

import pytest

from gatepost.model.settings import ListenerSettings, Role
from gatepost.net import tls
from gatepost.net.certificate import Certificate, make_self_signed, parse_certificate
from gatepost.net.key_exchange import set_groups
from gatepost.net.tls import FrontContexts, client_context, context_for_strangers, iana_cipher_name
from tests.net.shake import shake
from tests.support.alone import alone
from tests.support.self_signed import self_signed


def shown(fronts: FrontContexts, name: str | None, ciphers: str = "") -> bytes:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(ciphers)
    der = shake(fronts.new_context(), client, name).getpeercert(binary_form=True)
    assert der is not None
    return der


def der_of(certificate: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.chain.decode())


FIRST = self_signed("mail.one.test", "one.test")
WILD = self_signed("*.two.test")
EXACT = self_signed("special.two.test")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, FIRST),
        ("mail.one.test", FIRST),
        ("MAIL.One.test", FIRST),
        ("a.two.test", WILD),
        ("special.two.test", EXACT),
        ("b.a.two.test", FIRST),  # a wildcard is one label
        ("two.test", FIRST),
        ("unknown.test", FIRST),
        ("localhost", FIRST),
    ],
)
def test_the_certificate_is_chosen_by_server_name(name: str | None, expected: Certificate):
    assert shown(FrontContexts([FIRST, WILD, EXACT]), name) == der_of(expected)


def test_with_two_kinds_of_key_the_client_gets_the_one_it_can_check():
    one, other = self_signed("relay.test"), self_signed("relay.test", kind="RSA")
    fronts = FrontContexts([one, other])
    assert shown(fronts, "relay.test", "ECDHE-ECDSA-AES128-GCM-SHA256") == der_of(one)
    assert shown(fronts, "relay.test", "ECDHE-RSA-AES128-GCM-SHA256") == der_of(other)
    assert shown(fronts, None, "ECDHE-RSA-AES128-GCM-SHA256") == der_of(other)


def test_a_replaced_certificate_is_shown_and_tickets_stay_good():
    fronts = FrontContexts([self_signed("mail.one.test", kind="RSA")])
    front = fronts.new_context()
    client = client_context("opportunistic")
    before = shake(front, client)
    fronts.replace([WILD])
    after = shake(front, client)
    assert after.getpeercert(binary_form=True) == der_of(WILD)
    assert shake(front, client, session=before.session).session_reused


def test_a_ticket_is_given_where_it_saves_signing_with_rsa():
    plain, slow = self_signed("relay.test"), self_signed("relay.test", kind="RSA")
    setting = ListenerSettings(address="127.0.0.1:587", role=Role.SUBMISSION)
    fronts = FrontContexts([plain])
    front, client = fronts.front_context(setting), client_context("opportunistic")
    assert not shake(front, client).session.has_ticket
    fronts.replace([plain, slow])
    assert shake(front, client).session.has_ticket
    fronts.replace([plain])
    assert not shake(front, client).session.has_ticket


def test_tls_1_2_resumes_as_well():
    front = FrontContexts([FIRST]).new_context()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    first = shake(front, client)
    again = shake(front, client, session=first.session)
    assert again.session_reused
    assert again.version() == "TLSv1.2"


def test_older_than_tls_1_2_is_not_spoken():
    front = FrontContexts([FIRST]).new_context()
    assert front.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context("required").minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_begun_with_one_worker_is_resumed_by_another(version: str):
    alone("tests.net.forks", "sessions_are_resumed", version)


def test_a_required_client_verifies_chain_and_name(tmp_path: Path):
    chain, key = make_self_signed(["relay.test"])
    fronts = FrontContexts([parse_certificate(chain, key)])
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(chain)
    client = client_context("required", authorities)
    assert shake(fronts.new_context(), client, "relay.test").version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(fronts.new_context(), client, "other.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(fronts.new_context(), client_context("required"), "relay.test")


def test_an_opportunistic_client_takes_any_certificate():
    assert shake(FrontContexts([WILD]).new_context(), name="whoever.test").version() == "TLSv1.3"


def test_contexts_of_clients_are_shared():
    assert client_context("opportunistic") is client_context("opportunistic")
    with pytest.raises(ValueError):
        client_context("sometimes")


def test_a_front_needs_a_certificate():
    with pytest.raises(ValueError):
        FrontContexts([])


@pytest.mark.rfc("8314#4.3")
@pytest.mark.parametrize(
    ("openssl", "iana"),
    [
        ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-RSA-AES256-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
        ("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        ("DHE-RSA-AES128-SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
        ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
        ("ECDHE-ECDSA-AES128-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
        ("NO-SUCH-CIPHER", ""),
        ("", ""),
    ],
)
def test_cipher_suites_have_their_registered_names(openssl: str, iana: str):
    assert iana_cipher_name(openssl) == iana


def test_every_suite_that_our_contexts_offer_has_a_registered_name():
    for context in (FrontContexts([FIRST]).new_context(), client_context("opportunistic")):
        for cipher in context.get_ciphers():
            name = iana_cipher_name(cipher["name"])
            assert name.startswith("TLS_"), cipher["name"]
            assert name.replace("_", "").isalnum()


def in_group(name: str) -> ssl.SSLContext:
    """Return a client's context that agrees upon keys in one group only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    set_groups(context, name)
    return context


@pytest.mark.parametrize("name", ["ffdhe2048", "ffdhe8192"])
def test_nobody_has_us_work_out_keys_in_finite_fields(name: str):
    """CVE-2002-20001: 90 ms of the event loop, for a hello that costs nothing."""
    front = FrontContexts([FIRST]).new_context()
    with pytest.raises(ssl.SSLError):
        shake(front, in_group(name))
    server = _server(FIRST)
    set_groups(server, name)
    with pytest.raises(ssl.SSLError):
        shake(server, context_for_strangers("opportunistic"))


@pytest.mark.parametrize("name", ["X25519", "P-256", "P-384", "P-521"])
def test_curves_are_agreed_upon(name: str):
    assert shake(FrontContexts([FIRST]).new_context(), in_group(name)).version() == "TLSv1.3"
    server = _server(FIRST)
    set_groups(server, name)
    assert shake(server, context_for_strangers("opportunistic")).version() == "TLSv1.3"


def test_where_groups_cannot_be_listed_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tls, "is_sound", lambda: False)
    front = FrontContexts([FIRST]).new_context()
    assert shake(front, in_group("X25519:P-256")).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        shake(front, in_group("ffdhe2048"))


def test_a_server_does_not_choose_a_number_of_its_own():
    """TLS 1.2 with DHE: one of 10 000 bits takes a client 0.6 s."""
    names = [each["name"] for each in context_for_strangers("opportunistic").get_ciphers()]
    assert {name.partition("-")[0].partition("_")[0] for name in names} == {"TLS", "ECDHE"}


def _server(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.key + b"\n" + certificate.chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context
