"""What other servers say, and what the probe makes of it; and what the validator refuses."""

import copy
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.wrong import WrongValueError
from gatepost.operate.probe_finding import Grade
from gatepost.operate.probe_seen import Stage
from gatepost.operate.probe_texts import Texts, known_texts
from gatepost.operate.probe_texts_check import read_texts
from gatepost.wire.smtp.reply_reader import ReplyReader, ServerReply

GMAIL, MICROSOFT = "smtp.gmail.com", "smtp.office365.com"
SES, YAHOO = "email-smtp.eu-west-1.amazonaws.com", "smtp.mail.yahoo.com"
OTHER = "mail.example"


def reply(text: str) -> ServerReply:
    reader = ReplyReader()
    reader.feed(text.replace("\n", "\r\n").encode() + b"\r\n")
    found = reader.next_reply()
    assert isinstance(found, ServerReply)
    return found


#: host, step, what the server says, the text's name
CASES = [
    # Gmail
    (GMAIL, "login", ("535-5.7.8 Username and Password not accepted. For more information, go to\n"
     "535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1-2.3 - gsmtp"),
     "app-password-likely"),
    (GMAIL, "login", ("534-5.7.9 Application-specific password required. Learn more at\n"
     "534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x - gsmtp"),
     "app-password-required"),
    (GMAIL, "login", ("534-5.7.14 <https://accounts.google.com/signin/continue?x> Please\n"
     "534-5.7.14 log in via your web browser and then try again.\n"
     "534 5.7.14  https://support.google.com/mail/answer/78754 x - gsmtp"), "web-login-required"),
    (GMAIL, "login", "454 4.7.0 Too many login attempts, please try again later. x - gsmtp",
     "login-rate"),
    (GMAIL, "mail", "530 5.7.0 Must issue a STARTTLS command first. x - gsmtp",
     "tls-needed-for-login"),
    (GMAIL, "mail", ("530-5.7.0 Authentication Required. Learn more at\n"
     "530 5.7.0  https://support.google.com/mail/?p=WantAuthError x - gsmtp"),
     "login-needed-generic"),
    (GMAIL, "mail", "550 5.4.5 Daily user sending quota exceeded. x - gsmtp", "sending-quota"),
    (GMAIL, "rcpt", "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail", "rate-limited"),
    # Microsoft 365
    (MICROSOFT, "login", ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
     "disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [X]"),
     "smtp-auth-off-tenant"),
    (MICROSOFT, "login", ("535 5.7.139 Authentication unsuccessful, user is locked by your "
     "organization's security defaults policy. Contact your administrator. [X]"),
     "security-defaults"),
    (MICROSOFT, "login", ("535 5.7.139 Authentication unsuccessful, the request did not meet the "
     "criteria to be authenticated successfully. Contact your administrator. [X]"),
     "conditional-access"),
    (MICROSOFT, "login", ("535 5.7.139 Authentication unsuccessful, basic authentication is "
     "disabled. [X]"), "basic-authentication-off"),
    (MICROSOFT, "login", "550 5.7.30 Basic authentication is not supported for Client Submission.",
     "basic-authentication-off"),
    (MICROSOFT, "login", "535 5.7.139 Authentication unsuccessful, the account is locked.",
     "account-locked"),
    (MICROSOFT, "login", "535 5.7.3 Authentication unsuccessful [X]", "wrong-credentials"),
    (MICROSOFT, "mail", "530 5.7.57 Client not authenticated to send mail. [X]", "login-needed"),
    (MICROSOFT, "mail", "432 4.3.2 Concurrent connections limit exceeded. Visit x",
     "too-many-connections"),
    (MICROSOFT, "rcpt", "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
     "send-as-denied"),
    # Amazon SES
    (SES, "login", "535 Authentication Credentials Invalid", "ses-credentials"),
    (SES, "mail", "454 Throttling failure: Maximum sending rate exceeded", "ses-rate"),
    (SES, "mail", "454 Throttling failure: Daily message quota exceeded", "ses-rate"),
    (SES, "mail", "554 Message rejected: Email address is not verified. The following",
     "ses-sandbox"),
    # Yahoo: a limit dressed as a wrong password
    (YAHOO, "login", "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "login-rate-as-refusal"),
    (YAHOO, "login", "535 5.7.0 (#MBR1212) Incorrect username or password",
     "app-password-likely-yahoo"),
    (YAHOO, "greeting", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
     "deferred-by-reputation"),
    # Postfix, Exim, Dovecot, Gatepost
    (OTHER, "mail", "530 5.7.0 Must issue a STARTTLS command first", "tls-needed-for-login"),
    (OTHER, "login", "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6",
     "wrong-credentials-generic"),
    (OTHER, "login", ("535 5.7.8 Error: authentication failed: Connection lost to authentication "
     "server"), "login-backend-down"),
    (OTHER, "login", ("454 4.7.0 Temporary authentication failure: Connection lost to "
     "authentication server"), "login-backend-down"),
    (OTHER, "login", "503 5.5.1 Error: authentication not enabled", "auth-not-advertised"),
    (OTHER, "mail", "553 5.7.1 <b@x.example>: Sender address rejected: not owned by user a",
     "sender-not-ours"),
    (OTHER, "rcpt", "550 Verification failed for <b@x.example>", "sender-verify-failed"),
    (OTHER, "mail", "451 Could not complete sender verify", "sender-verify-failed"),
    (OTHER, "rcpt", "550 Sender verify failed", "sender-verify-failed"),
    (OTHER, "rcpt", "554 5.7.1 <c@y.example>: Relay access denied", "relaying-denied"),
    (OTHER, "rcpt", "550 5.1.1 <c@y.example>: Recipient address rejected: User unknown",
     "no-such-recipient"),
    (OTHER, "rcpt", "450 4.2.0 <c@y.example>: Recipient address rejected: Greylisted", "greylisted"),
    (OTHER, "login", "535 Incorrect authentication data", "wrong-credentials-exim"),
    (OTHER, "login", "435 Unable to authenticate at present", "login-backend-down"),
    (OTHER, "login", "503 AUTH command used when not advertised", "auth-not-advertised"),
    (OTHER, "login", "535 5.7.8 Too many failed attempts", "login-rate-generic"),
    (OTHER, "login", "534 5.7.9 Mechanism too weak", "app-password-needed"),
    (OTHER, "login", "538 5.7.11 Encryption required for requested authentication mechanism",
     "tls-needed-for-login"),
    (OTHER, "login", "538 5.7.11 Not in clear", "encryption-needed"),
    (OTHER, "login", "525 5.7.13 No", "account-disabled-code"),
    (OTHER, "login", "535 5.7.8 Account is disabled", "account-suspended"),
    (OTHER, "login", "421 4.7.0 Later", "try-later-login"),
    (OTHER, "greeting", "554 5.7.1 Blocked using zen.spamhaus.org", "client-address-listed"),
    (OTHER, "greeting", "554 No SMTP service here", "greeting-refused"),
    (OTHER, "starttls", "454 4.7.0 TLS not available", "starttls-unavailable"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "stage", "said", "name"), CASES)
def test_a_known_text_has_its_meaning(host: str, stage: str, said: str, name: str) -> None:
    texts = known_texts()
    found = texts.explain(Stage(stage), reply(said), texts.provider_of(host, ""))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(("host", "stage", "said", "name"), CASES)
def test_a_text_that_nobody_else_says_is_known_behind_another_name(
    host: str, stage: str, said: str, name: str
) -> None:
    texts = known_texts()
    own = texts.explain(Stage(stage), reply(said), texts.provider_of(host, ""))
    assert own is not None
    if own.anywhere:
        found = texts.explain(Stage(stage), reply(said), None)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("host", "greeting", "name"),
    [
        (GMAIL, "", "gmail"),
        ("SMTP.Gmail.com.", "", "gmail"),
        ("mail.example", "smtp.gmail.com ESMTP a1-2.3 - gsmtp", "gmail"),
        (MICROSOFT, "", "microsoft"),
        ("x.mail.protection.outlook.com", "", "microsoft"),
        ("mail.example", "AM0PR01.outlook.office365.com Microsoft ESMTP MAIL Service", "microsoft"),
        (SES, "", "ses"),
        ("ec2-192-0-2-1.compute-1.amazonaws.com", "x ESMTP Postfix", "postfix"),
        (YAHOO, "", "yahoo"),
        ("mail.example", "mail.example ESMTP Exim 4.98", "exim"),
        ("mail.example", "mail.example ESMTP Postfix (Debian/GNU)", "postfix"),
        ("mail.example", "mail.example Gatepost ESMTP", "gatepost"),
        ("mail.example", "mail.example ESMTP", None),
        ("notgoogle.com", "", None),
    ],
)
def test_whose_server_it_is(host: str, greeting: str, name: str | None) -> None:
    provider = known_texts().provider_of(host, greeting)
    assert (provider.name if provider else None) == name


@pytest.mark.parametrize(
    "code", [421, 432, 450, 451, 454, 500, 501, 504, 525, 534, 535, 538, 550, 553, 554]
)
@pytest.mark.parametrize("host", [GMAIL, MICROSOFT, SES, YAHOO, OTHER])
def test_every_refusal_of_a_login_means_something(code: int, host: str) -> None:
    texts = known_texts()
    said = ServerReply(code, "", ("what?",))
    assert texts.explain(Stage.LOGIN, said, texts.provider_of(host, "")) is not None


@given(
    st.sampled_from(list(Stage)),
    st.integers(min_value=200, max_value=599),
    st.text(max_size=80),
    st.sampled_from([GMAIL, MICROSOFT, SES, YAHOO, OTHER]),
)
def test_no_text_raises(stage: Stage, code: int, words: str, host: str) -> None:
    texts = known_texts()
    found = texts.explain(stage, ServerReply(code, "", (words,)), texts.provider_of(host, words))
    assert found is None or (code in found.codes and stage in found.at)


# -- the file


def tables() -> dict[str, Any]:
    return tomllib.loads(files("gatepost").joinpath("data/refusals.toml").read_text("utf-8"))


def test_the_file_that_comes_with_gatepost_is_good() -> None:
    assert read_texts(tables()) == known_texts()


def test_sentences_are_without_a_full_stop_and_in_their_tone() -> None:
    for text in known_texts().texts:
        for words in (text.what, text.cause, text.mend):
            assert not words.endswith("."), text.name
            assert words.strip() == words, text.name


GOOD: dict[str, Any] = {
    "providers": [{"name": "p", "title": "P"}],
    "texts": [
        {"name": "t", "at": ["login"], "codes": [535], "what": "w", "cause": "c", "mend": "m",
         "provider": "p", "words": ["x"], "grade": "note"},
    ],
}  # fmt: skip


def test_a_good_table_is_read() -> None:
    texts = read_texts(GOOD)
    assert isinstance(texts, Texts)
    assert texts.texts[0].grade is Grade.NOTE
    assert texts.texts[0].at == (Stage.LOGIN,)


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("texts", {"what": ""}, "what is missing"),
        ("texts", {"extra": 1}, "extra is unknown"),
        ("texts", {"codes": 535}, "codes should be list"),
        ("texts", {"codes": [250]}, "a code is no refusal"),
        ("texts", {"codes": ["535"]}, "a code is no refusal"),
        ("texts", {"at": ["logon"]}, "no such step: logon"),
        ("texts", {"provider": "q"}, "no such provider"),
        ("texts", {"words": ["Upper"]}, "not in lower case"),
        ("texts", {"grade": "bad"}, "no such grade"),
        ("texts", {"anywhere": True, "words": []}, "anywhere needs words"),
        ("providers", {"title": ""}, "title is missing"),
        ("providers", {"hosts": ["Upper.example"]}, "not in lower case"),
    ],
)
def test_every_fault_of_the_file_is_named(
    section: str, changes: dict[str, Any], words: str
) -> None:
    wrong = copy.deepcopy(GOOD)
    wrong[section][0].update(changes)
    with pytest.raises(WrongValueError) as raised:
        read_texts(wrong)
    assert words in str(raised.value)
    assert raised.value.wrongs[0].at[:2] == (section, 0)


def test_a_text_that_can_never_be_chosen_is_a_fault() -> None:
    wrong = copy.deepcopy(GOOD)
    general = wrong["texts"][0] | {"name": "general", "provider": "", "words": []}
    wrong["texts"].insert(0, general)
    with pytest.raises(WrongValueError, match='"t" is never chosen: "general" stands before it'):
        read_texts(wrong)


def test_names_are_there_once_and_sections_are_known() -> None:
    wrong = copy.deepcopy(GOOD)
    wrong["texts"].append(wrong["texts"][0] | {"words": ["y"]})
    with pytest.raises(WrongValueError, match="is there twice"):
        read_texts(wrong)
    with pytest.raises(WrongValueError, match="is unknown"):
        read_texts({"text": []})
