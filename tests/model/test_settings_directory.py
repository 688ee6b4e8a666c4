"""[[auth.directories]]: what is taken, and what is refused with its mend."""

from pathlib import Path

import pytest

from gatepost.model.settings_directory import DirectorySettings
from gatepost.model.settings_file import SettingsError, read_settings

BEFORE = """\
hostname = "relay.test"
[tls]
certificate = "c"
private_key = "k"
[[listeners]]
address = "127.0.0.1:2587"
role = "submission"
[[auth.directories]]
name = "corp"
"""
LDAP = 'kind = "ldap"\nservers = ["ldaps://h"]\nbase = "dc=x"\nfilter = "(mail={name})"\n'
BIND = 'kind = "ldap"\nservers = ["ldap://h"]\nuser_dn = "uid={name},dc=x"\n'
SQL = 'kind = "sql"\ndatabase = "sqlite:u.db"\nquery = "SELECT password FROM u WHERE n = :name"\n'
HTTP = 'kind = "http"\nurl = "https://h/x"\nsecret_file = "s"\n'


def read(text: str) -> tuple[DirectorySettings, ...]:
    return read_settings(BEFORE + text, "f", Path("/etc/x"), {}).auth.directories


@pytest.mark.parametrize(
    "text", [LDAP, BIND, SQL, HTTP, LDAP + 'reader_dn = "cn=r"\nsecret_file = "s"\n']
)
def test_taken(text: str) -> None:
    (directory,) = read(text)
    assert directory.match == ("*",)


def test_files_are_relative_to_the_file() -> None:
    (http,) = read(HTTP + 'ca_file = "ca.pem"\n')
    assert (http.secret_file, http.ca_file) == (Path("/etc/x/s"), Path("/etc/x/ca.pem"))
    assert read(SQL)[0].database == "sqlite:/etc/x/u.db"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "nis"\n', 'there is no "nis"'),
        (LDAP + 'url = "https://h"\n', 'does not go with kind = "ldap"'),
        (SQL + 'base = "x"\n', 'does not go with kind = "sql"'),
        ('kind = "ldap"\nuser_dn = "uid={name}"\n', "servers is missing"),
        ('kind = "ldap"\nservers = ["ldaps://h"]\n', "nothing says where an account is"),
        (LDAP + 'user_dn = "uid={name}"\n', "it is there twice"),
        (LDAP.replace('base = "dc=x"\n', ""), "base and filter go together"),
        (LDAP.replace("{name}", "x"), "the same for everybody"),
        (LDAP.replace("{name}", "{user}"), "{user} means nothing here"),
        (LDAP.replace("(mail={name})", "mail={name}"), "parentheses"),
        (LDAP.replace("(mail={name})", "(mail={name}"), "parentheses"),
        (LDAP.replace("(mail={name})", "(mail={name}))((x=y)"), "parentheses"),
        (LDAP + 'reader_dn = "cn=r"\n', "reader_dn and secret_file go together"),
        (LDAP.replace("ldaps://h", "http://h"), "no LDAP server"),
        (LDAP.replace("ldaps://h", "ldaps://h/dc=x"), "no LDAP server"),
        (BIND + "starttls = false\n", "without TLS anybody on the way reads the passwords"),
        (LDAP + 'sender_attributes = ["ma il"]\n', "no attribute"),
        (BIND.replace("{name}", "{local}"), "answers to its name at every domain"),
        (SQL.replace(":name", ":local"), "answers to its name at every domain"),
        (SQL.replace("sqlite:u.db", "mysql://h"), "no such database"),
        (SQL.replace("sqlite:u.db", "postgresql://u:s3cret@h/d"), "a password stands in it"),
        (SQL.replace("sqlite:u.db", "postgresql://u@h/d?password=s3cret"), "a password stands"),
        (SQL.replace(":name", "'x'"), "asks the same for everybody"),
        (SQL.replace(":name", "':name'"), "asks the same for everybody"),
        (SQL.replace("SELECT password", "SELECT hash"), "asks for no password"),
        (SQL + 'secret_file = "s"\n', "a file needs none"),
        (HTTP.replace("https", "http"), "without TLS anybody on the way could answer"),
        (HTTP.replace('secret_file = "s"\n', ""), "secret_file is missing"),
        (HTTP.replace('"http"', '"http"\nremember = "ever"'), "ever"),
        (HTTP + HTTP.replace("kind", '[[auth.directories]]\nname = "corp"\nkind'), "named twice"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(text)
    said = [f"{fault.what} {fault.mend}" for fault in caught.value.faults]
    assert any(words in each for each in said), said
    assert "s3cret" not in str(said)


def test_a_local_part_is_enough_where_the_domain_is_given() -> None:
    (directory,) = read(BIND.replace("{name}", "{local}") + 'match = ["corp.test"]\n')
    assert directory.match == ("corp.test",)
    assert read(BIND.replace("{name}", "{local},dc={domain}"))


def test_without_tls_only_on_this_machine() -> None:
    (directory,) = read(BIND.replace("//h", "//127.0.0.1") + "starttls = false\n")
    assert not directory.starttls
