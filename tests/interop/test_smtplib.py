"""Python's own smtplib: what most Python programs send with."""

import smtplib

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node

pytestmark = pytest.mark.interop("python3")


def starttls(node: Node) -> smtplib.SMTP:
    server = smtplib.SMTP(HOST, node.ports.submission, timeout=30)
    server.starttls(context=node.trust())
    return server


@pytest.mark.rfc("4954#4")
def test_smtplib_sends_through_starttls(shared_node: Node, sent: Letter) -> None:
    with starttls(shared_node) as server:
        server.login(shared_node.account, shared_node.password)
        assert server.sendmail(sent.sender, [sent.recipient], sent.octets) == {}
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_smtplib_sends_through_implicit_tls(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submissions
    with smtplib.SMTP_SSL(HOST, port, timeout=30, context=shared_node.trust()) as server:
        server.login(shared_node.account, shared_node.password)
        assert server.sendmail(sent.sender, [sent.recipient], sent.octets) == {}
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_smtplib_reports_a_wrong_password(shared_node: Node, sent: Letter) -> None:
    with (
        starttls(shared_node) as server,
        pytest.raises(smtplib.SMTPAuthenticationError) as refused,
    ):
        server.login(shared_node.account, "wrong")
    assert refused.value.smtp_code == 535
    assert_nothing_arrived(shared_node, sent)


@pytest.mark.rfc("4954#3")
def test_smtplib_is_offered_no_login_before_tls(shared_node: Node, sent: Letter) -> None:
    with smtplib.SMTP(HOST, shared_node.ports.submission, timeout=30) as server:
        server.ehlo()
        assert not server.has_extn("auth")
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            server.sendmail(sent.sender, [sent.recipient], sent.octets)
    assert refused.value.smtp_code == 530
    assert_nothing_arrived(shared_node, sent)
