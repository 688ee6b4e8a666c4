"""[[egress]] and a route's pool: what is taken, and what is refused with its mend."""

from pathlib import Path

import pytest

from gatepost.model.pool_rule import PoolRule
from gatepost.model.settings import Settings
from gatepost.model.settings_file import SettingsError, read_settings
from gatepost.model.source import Source

BEFORE = """\
hostname = "relay.test"
[tls]
certificate = "c"
private_key = "k"
[[listeners]]
address = "127.0.0.1:2587"
role = "submission"
"""
ONE = '[[egress]]\nname = "Mail.Example."\n'


def read(text: str) -> Settings:
    return read_settings(BEFORE + text, "f", Path("/etc/x"), {})


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ('ipv4 = "192.0.2.1"', Source("mail.example", "192.0.2.1")),
        ('ipv6 = "2001:DB8:0::1"', Source("mail.example", None, "2001:db8::1")),
        ('ipv4 = " 127.0.0.1"\nipv6 = "::1"', Source("mail.example", "127.0.0.1", "::1")),
        (
            'ipv4 = "192.0.2.1"\npools = ["news", "a-1", "news"]',
            Source("mail.example", "192.0.2.1", None, ("news", "a-1")),
        ),
    ],
)
def test_taken(text: str, source: Source) -> None:
    (egress,) = read(ONE + text).egress
    assert egress.source == source


def test_without_it_there_are_none() -> None:
    assert read("").egress == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no address"),
        ('ipv4 = "2001:db8::1"', "is no IPv4 address"),
        ('ipv6 = "192.0.2.1"', "is no IPv6 address"),
        ('ipv4 = "mail.example"', "is no IPv4 address"),
        ('ipv4 = "192.0.2.0/24"', "is no IPv4 address"),
        ('ipv6 = "fe80::1%eth0"', "is no IPv6 address"),
        ('ipv6 = "::ffff:192.0.2.1"', 'write ipv4 = "192.0.2.1"'),
        ('ipv4 = "0.0.0.0"', "no connection comes from"),
        ('ipv6 = "::"', "no connection comes from"),
        ('ipv4 = "224.0.0.1"', "no connection comes from"),
        ('ipv4 = "192.0.2.1"\npools = []', "pools"),
        ('ipv4 = "192.0.2.1"\npools = ["system"]', "is no pool"),
        ('ipv4 = "192.0.2.1"\npools = ["Big News"]', "cannot be the name of a pool"),
        ('ipv4 = "192.0.2.1"\npools = [""]', "cannot be the name of a pool"),
        ('ipv4 = "192.0.2.1"\n' + ONE + 'ipv4 = "192.0.2.1"', "is named already (no. 1)"),
        ('ipv6 = "::1"\n' + ONE + 'ipv6 = "0::1"', "is named already (no. 1)"),
        ('ipv4 = "192.0.2.1"\n[[egress]]\nname = "localhost"\nipv4 = "192.0.2.2"\nx = 1', "x"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(ONE + text)
    assert words in str(raised.value)


@pytest.mark.parametrize("via", ["mx", "smtp:h.test:25"])
@pytest.mark.parametrize("pool", ["news", "default", "system"])
def test_a_route_may_name_a_pool(via: str, pool: str) -> None:
    text = f'[[routes]]\nmatch = ["*"]\nvia = "{via}"\npool = "{pool}"\n'
    assert read(text).routes[0].pool == pool


@pytest.mark.parametrize("via", ["lmtp:h.test:24", "capture", "discard", "hold"])
def test_what_does_not_leave_by_smtp_takes_no_pool(via: str) -> None:
    with pytest.raises(SettingsError, match="takes no pool"):
        read(f'[[routes]]\nmatch = ["*"]\nvia = "{via}"\npool = "news"\n')


NEWS = ONE + 'ipv4 = "192.0.2.1"\npools = ["news", "bulk"]\n'


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('pool = "news"\nstreams = ["a.b"]', PoolRule("news", streams=frozenset({"a.b"}))),
        (
            'pool = "bulk"\ndomains = ["X.Example", "*.xn--e1aybc.example", "*"]',
            PoolRule("bulk", domains=("x.example", "*.xn--e1aybc.example", "*")),
        ),
        (
            'pool = "news"\naccounts = ["App@Example.com"]\ncredentials = ["oauth"]',
            PoolRule("news", frozenset({"app@example.com"}), frozenset({"oauth"})),
        ),
        (
            'pool = "far"\nstreams = ["news"]\nelsewhere = true',
            PoolRule("far", streams=frozenset({"news"})),
        ),
    ],
)
def test_rules_of_pools(text: str, rule: PoolRule) -> None:
    (given,) = read(f"{NEWS}[[pool_rules]]\n{text}\n").pool_rules
    assert given.rule == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('pool = "news"', "it says of no mail that it leaves from there"),
        ('streams = ["news"]', "pool"),
        ('pool = "news"\nstreams = ["a b"]', "cannot be the name of a stream"),
        ('pool = "news"\ncredentials = ["a b"]', "cannot be the id of a credential"),
        ('pool = "news"\ndomains = ["a b"]', "domains"),
        ('pool = "system"\nstreams = ["a"]', "is no pool"),
        ('pool = "news"\nstream = ["a"]', 'did you mean "streams"?'),
    ],
)
def test_rules_that_mean_nothing(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(f"{NEWS}[[pool_rules]]\n{text}\n")
    assert words in str(raised.value)


def test_a_rule_s_pool_has_addresses() -> None:
    text = f'{NEWS}[[pool_rules]]\npool = "bulk"\nstreams = ["a"]\n'
    text += '[[pool_rules]]\npool = "newz"\nstreams = ["b"]\n'
    line = (BEFORE + text).splitlines().index('pool = "newz"') + 1
    with pytest.raises(SettingsError) as raised:
        read(text)
    told = str(raised.value)
    assert f"f:{line}: pool_rules[1].pool" in told or f"f:{line}" in told
    for words in ('no [[egress]] is in pool "newz"', 'did you mean "news"?', "elsewhere = true"):
        assert words in told
