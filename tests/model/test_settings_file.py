"""gatepost.toml: every fault at once, each with file, line, key and mend."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.settings import Role, Settings
from gatepost.model.settings_file import Fault, SettingsError, read_settings

GOOD = """\
hostname = "relay.example"
[tls]
certificate = "cert.pem"
private_key = "/keys/key.pem"
[[listeners]]
address = "127.0.0.1:2587"
role = "submission"
"""
#: The first line that a test adds.
NEXT = GOOD.count("\n") + 1
HERE = Path("/somewhere")
LOGIN_ROUTE = "[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test:25'\nusername = 'u'"
REFRESH = (
    "[routes.oauth]\ntoken_url = 'https://id.test/t'\nclient_id = 'c'\nrefresh_token_file = 'r'"
)


def read(text: str, **environment: str) -> Settings:
    return read_settings(text, "gatepost.toml", HERE, environment)


def faults(text: str, **environment: str) -> tuple[Fault, ...]:
    with pytest.raises(SettingsError) as raised:
        read(text, **environment)
    return raised.value.faults


def test_what_is_not_written_has_its_default() -> None:
    settings = read(GOOD)
    assert settings.listeners[0].role is Role.SUBMISSION
    assert settings.limits.message_size == 25 * 2**20
    assert settings.retry.first == timedelta(minutes=5)
    assert settings.auth.mechanisms == (
        "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER",
        "EXTERNAL",
    )  # fmt: skip


@pytest.mark.parametrize("end", ["", "/", "/mail", "/mail/"])
def test_links_begin_without_a_last_slash(end: str) -> None:
    settings = read(f'{GOOD}[http]\npublic_url = "https://mail.example:8443{end}"\n')
    assert settings.http is not None
    assert settings.http.public_url == "https://mail.example:8443" + end.rstrip("/")


def test_relative_paths_are_relative_to_the_file_and_maildirs_to_data_dir() -> None:
    settings = read(
        GOOD.replace("hostname", 'data_dir = "var"\nhostname')
        + '[[tls.more]]\ncertificate = "b.pem"\nprivate_key = "b.key"\n'
        + '[[local_domains]]\nname = "local.test"\ndeliver_to = "maildir:mail"\n'
        + '[[local_domains]]\nname = "other.test"\ndeliver_to = "maildir:/var/mail"\n'
        + '[[routes]]\nmatch = ["*"]\nvia = "smtp:smart.example:587"\n'
        + 'username = "me"\npassword_file = "password"\n'
        + '[[routes]]\nmatch = ["*"]\nvia = "smtp:smart.example:587"\nusername = "me"\n'
        + 'client_certificate = "us.pem"\nclient_key = "us.key"\n'
        + REFRESH.replace("'r'", "'var/r'\nclient_secret_file = 's'")
    )
    assert settings.data_dir == HERE / "var"
    assert settings.tls.certificate == HERE / "cert.pem"
    assert settings.tls.private_key == Path("/keys/key.pem")
    assert settings.tls.more[0].private_key == HERE / "b.key"
    assert [d.deliver_to for d in settings.local_domains] == [
        "maildir:/somewhere/var/mail",
        "maildir:/var/mail",
    ]
    assert settings.routes[0].password_file == HERE / "password"
    upstream = settings.routes[1]
    assert (upstream.client_certificate, upstream.client_key) == (HERE / "us.pem", HERE / "us.key")
    assert upstream.oauth is not None
    assert upstream.oauth.refresh_token_file == HERE / "var/r"
    assert upstream.oauth.client_secret_file == HERE / "s"


def test_names_are_kept_in_lower_case_a_labels() -> None:
    settings = read(
        GOOD.replace("relay.example", "Relay.Bücher.Example")
        + '[[routes]]\nmatch = ["*.Example", "BÜCHER.example"]\nvia = "discard"\n'
        + '[[local_domains]]\nname = "Local.Test."\ndeliver_to = "maildir:mail"\n'
    )
    assert settings.hostname == "relay.xn--bcher-kva.example"
    assert settings.routes[0].match == ("*.example", "xn--bcher-kva.example")
    assert settings.local_domains[0].name == "local.test"


# One row per fault: what is added to GOOD, the line it is on (0: the first added), key, words.
ADDED = [
    ("[limits]\nrecipient = 5", 1, "limits.recipient", 'did you mean "recipients"?'),
    ("[limits]\nxyz = 5", 1, "limits.xyz", "known here: authentication_failures, connections"),
    ("[limit]\nidle = 5", 0, "limit", 'did you mean "limits"?'),
    ("[limits]\n\nidle = '5 minuts'", 2, "limits.idle", '"5 minuts" is not understood'),
    ("[limits]\nidle = '0 s'", 1, "limits.idle", "no time at all"),
    ("[limits]\nidle = 300", 1, "limits.idle", 'a duration such as "30 s"'),
    ("[limits]\nmessage_size = '25'", 1, "limits.message_size", 'a size such as "25 MiB"'),
    ("[limits]\nminimum_rate = '5 B'", 1, "limits.minimum_rate", 'a rate such as "100 B/s"'),
    ("[limits]\nrecipients = 99", 1, "limits.recipients", "write at least 100"),
    ("[limits]\nrecipients = 'many'", 1, "limits.recipients", "write a whole number"),
    ("[submission]\nhide_client = 3", 1, "submission.hide_client", "write true or false"),
    ("[http]\naddress = '127.0.0.1:2587'", 1, "http.address", "has a listener already"),
    ("[limits]\nconnections = 0", 1, "limits.connections", "write at least 1"),
    ("[[listeners]]\naddress = '127.0.0.1:1'", 0, "listeners[1].role", "it is missing"),
    ("[[listeners]]\nrole = 'mx'", 0, "listeners[1].address", 'add address = "127.0.0.1:2587"'),
    (
        "[[listeners]]\naddress = '127.0.0.1:1'\nrole = 'submision'",
        2, "listeners[1].role", 'did you mean "submission"?',
    ),
    (
        "[[listeners]]\naddress = 'localhost:1'\nrole = 'mx'",
        1, "listeners[1].address", "write an IP address",
    ),
    (
        "[[listeners]]\naddress = '127.0.0.1'\nrole = 'mx'",
        1, "listeners[1].address", "has no port",
    ),
    (
        "[[listeners]]\naddress = '127.0.0.1:2587'\nrole = 'mx'",
        1, "listeners[1].address", "one port has one role",
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nclient_certificates = true",
        3, "listeners[1].client_certificates", "nobody logs in on an mx",
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nproxy_protocol_from = ['lb.test']",
        3, "listeners[1].proxy_protocol_from[0]", "no address and no network",
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nproxy_protocol_from = ['10.0.0.5/8']",
        3, "listeners[1].proxy_protocol_from[0]", "host bits",
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nproxy_protocol_from = ['::1',\n'::/0']",
        4, "listeners[1].proxy_protocol_from[1]", "could claim to be anybody",
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nproxy_protocol_from = ['::ffff:10.1.0.0/112']",
        3, "listeners[1].proxy_protocol_from[0]", 'write "10.1.0.0/16"',
    ),
    (
        "[[listeners]]\naddress = '[::1]:1'\nrole = 'mx'\nproxy_protocol_from = '10.0.0.5'",
        3, "listeners[1].proxy_protocol_from", "write a list in brackets",
    ),
    ("[http]\npublic_url = 'http://mail.example'", 1, "http.public_url", "no https address"),
    ("[http]\npublic_url = 'https://'", 1, "http.public_url", "no https address"),
    ("[http]\npublic_url = 'https://a@mail.example'", 1, "http.public_url", "no https address"),
    ("[http]\npublic_url = 'https://mail.example/>x'", 1, "http.public_url", "no https address"),
    ("[http]\npublic_url = 'https://mail.example/ä'", 1, "http.public_url", "no https address"),
    ("[http]\npublic_url = 'https://mail.example/?u='", 1, "http.public_url", "without ? and #"),
    (f"[http]\npublic_url = 'https://{'x' * 200}.example'", 1, "http.public_url", "at most 200"),
    ("[auth.oauth]\nissuer = 'x'\naudience = 'a'", 1, "auth.oauth.issuer", "no web address"),
    ("[auth.oauth]\nissuer = 'http://x.y'\naudience = 'a'", 1, "auth.oauth.issuer", "https://"),
    ("[auth.oauth]\nissuer = 'https://x.y'", 0, "auth.oauth.audience", 'add audience = "gatepost"'),
    ("[auth.oauth]\naudience = 'a'", 1, "auth.oauth.audience", "add issuer, jwks_url"),
    (
        "[auth.oauth]\naudience = 'a'\nissuer = 'https://x.y'\nalgorithms = ['HS256']",
        3, "auth.oauth.algorithms[0]", '"HS256" is not allowed',
    ),
    (
        "[auth.oauth]\naudience = 'a'\njwks_file = 'k'\nclient_id = 'me'",
        3, "auth.oauth.client_id", "introspection_url",
    ),
    (
        "[auth]\nmechanisms = ['PLAIN', 'DIGEST-MD5']",
        1, "auth.mechanisms[1]", '"DIGEST-MD5" is no mechanism',
    ),
    ("[auth]\nmechanisms = [\n'PLAN']", 2, "auth.mechanisms[0]", 'did you mean "PLAIN"?'),
    ("[auth]\nmechanisms = []", 1, "auth.mechanisms", "nobody could log in"),
    ("[auth]\nmechanisms = ['PLAIN','plain']", 1, "auth.mechanisms[1]", "named twice"),
    ("[auth]\nmechanisms = 'PLAIN'", 1, "auth.mechanisms", "write a list in brackets"),
    ("[[local_domains]]\nname = 'x.test'", 0, "local_domains[0].deliver_to", "it is missing"),
    (
        "[[local_domains]]\nname = 'x test'\ndeliver_to = 'maildir:m'",
        1, "local_domains[0].name", "not a domain name",
    ),
    (
        "[[local_domains]]\nname = 'x.test'\ndeliver_to = 'mx'",
        2, "local_domains[0].deliver_to", "no target for a local domain",
    ),
    (
        "[[local_domains]]\nname = 'x.test'\ndeliver_to = 'maildir:m'\nmailboxes = ['a', '../b']",
        3, "local_domains[0].mailboxes[1]", "not a mailbox",
    ),
    (
        "[[local_domains]]\nname = 'x.test'\ndeliver_to = 'maildir:m'\nmailboxes = []",
        3, "local_domains[0].mailboxes", "name at least one",
    ),
    ("[[routes]]\nvia = 'mx'", 0, "routes[0].match", 'add match = ["example", "*.example"]'),
    ("[[routes]]\nmatch = 'x'\nvia = 'mx'", 1, "routes[0].match", "write a list in brackets"),
    ("[routes]\nmatch = ['x']\nvia = 'mx'", 0, "routes", "write [[routes]], with two brackets"),
    ("[[routes]]\nmatch = ['a*b']\nvia = 'mx'", 1, "routes[0].match[0]", "no recipient domain"),
    ("[[routes]]\nmatch = []\nvia = 'mx'", 1, "routes[0].match", "name at least one"),
    ("[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test'", 2, "routes[0].via", "has no port"),
    ("[[routes]]\nmatch = ['x']\nvia = 'maildir:m'", 2, "routes[0].via", "[[local_domains]]"),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'mx'\ntls = 'requird'",
        3, "routes[0].tls", 'did you mean "required"?',
    ),
    ("[[routes]]\nmatch = ['x']\nvia = 'mx'\ntls = 'implicit'", 3, "routes[0].tls", "does not go"),
    (
        "[[routes]]\nmatch=['x']\nvia='smtp:x.test:25'\ntls='never'\nusername='u'\npassword_file='p'",
        3, "routes[0].tls", "in clear text",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test:25'\nusername = 'u'",
        3, "routes[0].username", 'add password_file = "FILE"',
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test:25'\npassword_file = 'p'",
        3, "routes[0].password_file", "no username",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'mx'\nusername = 'u'\npassword_file = 'p'",
        3, "routes[0].username", "takes no login",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'mx'\nmechanism = 'XOAUTH2'",
        3, "routes[0].mechanism", "no username",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'mx'\ntoken_command = 'x'",
        3, "routes[0].token_command", "no username",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test:25'\ntoken_command = \"it's\"",
        3, "routes[0].token_command", "no command",
    ),
    (
        "[[routes]]\nmatch = ['x']\nvia = 'smtp:x.test:25'\nmechanism = 'NTLM'",
        3, "routes[0].mechanism", 'there is no "NTLM"',
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\ntoken_command = 'x'",
        5, "routes[0].token_command", "remove it, or password_file",
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\nmechanism = 'XOAUTH2'",
        5, "routes[0].mechanism", "XOAUTH2 needs a token",
    ),
    (
        LOGIN_ROUTE + "\ntoken_command = 'x'\nmechanism = 'PLAIN'",
        5, "routes[0].mechanism", "PLAIN takes no token",
    ),
    (
        LOGIN_ROUTE + "\nmechanism = 'OAUTHBEARER'",
        3, "routes[0].username", "add token_command",
    ),
    (
        LOGIN_ROUTE + "\nmechanism = 'EXTERNAL'",
        3, "routes[0].username", "add client_certificate",
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\nmechanism = 'EXTERNAL'",
        5, "routes[0].mechanism", "EXTERNAL needs a certificate",
    ),
    (
        LOGIN_ROUTE + "\nclient_certificate = 'c'\nclient_key = 'k'\nmechanism = 'PLAIN'",
        6, "routes[0].mechanism", "PLAIN takes no certificate",
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\nclient_certificate = 'c'",
        5, "routes[0].client_certificate", "no client_key beside it",
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\nclient_key = 'k'",
        5, "routes[0].client_key", "no client_certificate beside it",
    ),
    (
        LOGIN_ROUTE + "\npassword_file = 'p'\n" + REFRESH,
        5, "routes[0].oauth", "remove it, or password_file",
    ),
    (
        LOGIN_ROUTE + "\nmechanism = 'PLAIN'\n" + REFRESH,
        4, "routes[0].mechanism", "PLAIN takes no token",
    ),
    (
        LOGIN_ROUTE + "\n" + REFRESH.replace("https:", "http:"),
        5, "routes[0].oauth.token_url", "without TLS",
    ),
    ("[retry]\nfirst = '5 h'", 1, "retry.first", "longer than longest (4 h)"),
    ("[retry]\ngive_up = '1 h'", 0, "retry.longest", "longer than give_up (1 h)"),
    ("[dns]\nresolvers = ['dns.example']", 1, "dns.resolvers[0]", "is a name"),
    ("[log]\nformat = 'xml'", 1, "log.format", "write one of text, json"),
    ("[retention]\ncaptured = true", 1, "retention.captured", "should be a duration"),
    ("[tls.acme]\ndirectory = 'x'", 0, "tls.acme", "there is no such key"),
]  # fmt: skip


@pytest.mark.parametrize(("added", "line", "key", "words"), ADDED)
def test_a_fault_names_line_key_and_mend(added: str, line: int, key: str, words: str) -> None:
    (fault,) = faults(GOOD + added)
    assert (fault.file, fault.line, fault.key) == ("gatepost.toml", NEXT + line, key)
    assert words in str(fault)
    assert fault.mend
    assert str(fault).startswith(f"gatepost.toml:{NEXT + line}: {key}: ")


# One row per fault at the top of the file: the line that stands before GOOD.
TOP = [
    ("store = 'postgresql://u:secret@h'", "store", "this names no database"),
    ("store = 'postgresql://u:secret#1@h/db'", "store", "this names no database"),
    ("store = 'postgresql://u:secret@1@h/db'", "store", "user or hosts cannot be read"),
    ("store = 'postgresql://u:secret%1@h/db'", "store", "user or hosts cannot be read"),
    ("store = 'postgresql://u:secret@h:x/db'", "store", "user or hosts cannot be read"),
    ("store = 'postgresql://u:4711/secret@h/db'", "store", '"@" must be written %40'),
    ("store = 'postgresql://u:4711/x?secret@h/db'", "store", '"@" must be written %40'),
    ("store = 'postgresql://u:4711/@secret/db'", "store", '"@" must be written %40'),
    ("store = 'mysql'", "store", "there is no such store"),
    ("workers = -1", "workers", "at least 0"),
    ("workers = 1000", "workers", "at most 256"),
    ("postmaster = 'ops'", "postmaster", "not an address"),
    ("data_dir = 5", "data_dir", "write a file name in quotes"),
    ("limits = 5", "limits", "write [limits] above its keys"),
]


@pytest.mark.parametrize(("added", "key", "words"), TOP)
def test_a_fault_at_the_top_names_line_key_and_mend(added: str, key: str, words: str) -> None:
    (fault,) = faults(f"\n{added}\n{GOOD}")
    assert (fault.line, fault.key) == (2, key)
    assert words in str(fault)
    assert "secret" not in str(fault)


@pytest.mark.parametrize(
    ("hostname", "words"),
    [
        ("'relay'", "not a full domain name"),
        ("'192.0.2.1'", "is an IP address"),
        ("'relay example'", "not a domain name"),
        ("5", "write a text in quotes"),
    ],
)
def test_a_hostname_must_be_one(hostname: str, words: str) -> None:
    (fault,) = faults(GOOD.replace('"relay.example"', hostname))
    assert (fault.line, fault.key) == (1, "hostname")
    assert words in str(fault)


def test_localhost_is_a_hostname_for_trials() -> None:
    assert read(GOOD.replace("relay.example", "localhost")).hostname == "localhost"


def test_an_empty_file_misses_what_must_be_there() -> None:
    assert [f.key for f in faults("")] == ["hostname", "listeners", "tls"]
    assert all(f.what == "it is missing" and f.mend.startswith("add ") for f in faults(""))


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    found = faults(
        "hostnam = 'x'\n[tls]\ncertificate = 5\n[[listeners]]\naddress = 'x'\nrole = 'y'\n"
        "[auth.oauth]\nissuer = 'x'\n[retry]\nfirst = '5 h'\n[[routes]]\nmatch = ['a']\nvia = 'b'\n",
        GATEPOST_LIMITS__IDLE="x",
    )
    assert [f.key for f in found] == [
        "hostnam",
        "hostname",
        "tls.private_key",
        "tls.certificate",
        "listeners[0].address",
        "listeners[0].role",
        "auth.oauth.audience",
        "auth.oauth.issuer",
        "retry.first",
        "routes[0].via",
        "GATEPOST_LIMITS__IDLE",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hostname = relay.example\n", 1),
        ("hostname = 'x'\n[tls\n", 2),
        ("hostname = 'x'\nhostname = 'y'\n", 2),
        ("\n\na = [1,\n", 4),
        ("x = '''\n", 2),
    ],
)
def test_what_is_not_toml_says_on_which_line(text: str, line: int) -> None:
    (fault,) = faults(text)
    assert fault.line == line
    assert "this is not TOML" in fault.what


_MAIL = "[[local_domains]]\nname = '{name}'\ndeliver_to = 'maildir:{to}'\nmailboxes = {who}\n"


@pytest.mark.parametrize(
    ("to", "who", "key", "words"),
    [
        ("mail", "['alice']", "local_domains[1].deliver_to", 'such as "maildir:mail/b.test"'),
        ("./mail/", "['ALICE']", "local_domains[1].deliver_to", "would share a maildir"),
        ("mail", "['*']", "local_domains[1].deliver_to", "would share a maildir"),
    ],
)
def test_mailboxes_of_two_domains_never_share_a_maildir(
    to: str, who: str, key: str, words: str
) -> None:
    first = _MAIL.format(name="a.test", to="mail", who="['alice', 'bob']")
    (fault,) = faults(GOOD + first + _MAIL.format(name="b.test", to=to, who=who))
    assert (fault.line, fault.key) == (NEXT + 6, key)
    assert words in str(fault)


@pytest.mark.parametrize(("to", "who"), [("mail", "['carol']"), ("mail/b.test", "['*']")])
def test_two_domains_may_have_neighbouring_maildirs(to: str, who: str) -> None:
    first = _MAIL.format(name="a.test", to="mail", who="['alice', 'bob']")
    assert len(read(GOOD + first + _MAIL.format(name="b.test", to=to, who=who)).local_domains) == 2


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("[limits]\nrecipients = " + "9" * 5000, "thousands of digits"),
        ("[limits]\nrecipients = 0x" + "f" * 5000, "out of bounds"),
        ("[limits]\nidle = 0x" + "f" * 5000, "out of bounds"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested hundreds of levels deep"),
        ('[dns]\nresolvers = ["a\\u0000b"]', "NUL"),
        ("[[routes]]\nmatch = ['x']\nvia = 'smtp://u:S3CRET@h:25'", "it is no URL"),
        ("[[routes]]\nmatch = ['x']\nvia = 'smtps://u:S3CRET@h:25'", "no way out"),
        ("[[routes]]\nmatch = ['x']\nvia = 'lmtp:u:S3CRET@h:25'", "it is no URL"),
    ],
)
def test_what_nobody_foresaw_is_a_fault_that_shows_no_password(added: str, words: str) -> None:
    said = " ".join(map(str, faults(GOOD + added + "\n")))
    assert words in said
    assert "S3CRET" not in said


def test_octets_of_the_environment_that_are_no_text_are_a_fault() -> None:
    (fault,) = faults(GOOD, GATEPOST_POSTMASTER="\udcff@a.test")
    assert fault.key == "GATEPOST_POSTMASTER"


def test_a_local_domain_is_named_once() -> None:
    first = _MAIL.format(name="a.test", to="mail", who="['alice']")
    (fault,) = faults(GOOD + first + _MAIL.format(name="A.test", to="other", who="['bob']"))
    assert fault.key == "local_domains[1].name"


def test_two_listeners_may_let_the_system_choose_their_port() -> None:
    added = "[[listeners]]\naddress = '127.0.0.1:0'\nrole = 'mx'\n" * 2
    assert len(read(GOOD + added).listeners) == 3


# -- the environment


def test_the_environment_overrides_the_file() -> None:
    settings = read(
        GOOD,
        GATEPOST_HOSTNAME="other.example",
        GATEPOST_DATA_DIR="/var/lib/gatepost",
        GATEPOST_STORE="sqlite",
        GATEPOST_LIMITS__RECIPIENTS="500",
        GATEPOST_LIMITS__IDLE="1 min",
        GATEPOST_AUTH__MECHANISMS='["PLAIN"]',
        GATEPOST_LISTENERS__0__ADDRESS="[::1]:587",
        GATEPOST_POSTMASTER="ops@relay.example",
    )
    assert settings.hostname == "other.example"
    assert settings.data_dir == Path("/var/lib/gatepost")
    assert settings.limits.recipients == 500
    assert settings.limits.idle == timedelta(minutes=1)
    assert settings.auth.mechanisms == ("PLAIN",)
    assert settings.listeners[0].address == "[::1]:587"
    assert settings.postmaster == "ops@relay.example"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GATEPOST_HOSTNAM", "x", "did you mean GATEPOST_HOSTNAME?"),
        ("GATEPOST_XYZ", "x", "unset it"),
        ("GATEPOST_LIMITS__RECIPIENTS", "many", "write a whole number"),
        ("GATEPOST_LIMITS__RECIPIENT", "5", 'did you mean "recipients"?'),
        ("GATEPOST_LISTENERS__7__ROLE", "mx", "write it in the file"),
        ("GATEPOST_HOSTNAME__X", "mx", "write it in the file"),
        ("GATEPOST_HTTP", "x", "it is a table, not a value"),
        ("GATEPOST_STORE", "postgresql://u:secret@h/", "this names no database"),
    ],
)
def test_a_fault_of_the_environment_names_its_variable(
    variable: str, value: str, words: str
) -> None:
    (fault,) = faults(GOOD, **{variable: value})
    assert (fault.file, fault.line, fault.key) == ("environment", 0, variable)
    assert words in str(fault)
    assert "secret" not in str(fault)


@pytest.mark.parametrize(
    "variable",
    [
        "GATEPOST_CONFIG",
        "GATEPOST_DEBUG",
        "GATEPOST_SERVICE_HOST",
        "GATEPOST_PORT",
        "GATEPOST_PORT_587_TCP_ADDR",
        "GATEPOSTX",
        "PATH",
    ],
)
def test_variables_that_are_no_settings_are_left_alone(variable: str) -> None:
    assert read(GOOD, **{variable: "tcp://10.0.0.1:587"}) == read(GOOD)


# -- whatever comes


@given(st.text())
def test_any_text_is_settings_or_faults_and_nothing_else(text: str) -> None:
    try:
        read(text)
    except SettingsError as error:
        assert error.faults  # noqa: PT017 - there is no other outcome


_ODD = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.floats(), st.dates()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)
_KNOWN = sorted(Settings.model_fields)


@given(st.dictionaries(st.sampled_from(_KNOWN), _ODD))
def test_any_value_of_any_key_is_settings_or_faults(values: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())
    try:
        read(text)
    except SettingsError as error:
        assert all(f.what and f.mend for f in error.faults)  # noqa: PT017


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            '"' + "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        pairs = {_toml(k): _toml(v) for k, v in value.items()}
        return "{" + ", ".join(f"{k} = {v}" for k, v in pairs.items()) + "}"
    return str(value)
