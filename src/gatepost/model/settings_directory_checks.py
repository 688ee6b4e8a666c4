"""What `[[auth.directories]]` may say, and what goes with what.

Each check returns the value or raises WrongValueError, whose words reach the operator.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from gatepost.model.wrong import Wrong, WrongValueError, wrong

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
#: RFC 4512 §1.4: a descriptor or an OID, with options (RFC 4512 §2.5).
_ATTRIBUTE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(;[A-Za-z0-9-]+)*", re.ASCII)
_PLACE: Final = re.compile(r"\{(\w*)\}")
#: What stands for the name that somebody logs in with, its local part, and its domain.
PLACES: Final = ("name", "local", "domain")
#: A parameter of a query; "::text" is a cast of PostgreSQL's.
PARAMETER: Final = re.compile(r"(?<![:\w]):(name|local|domain)\b", re.ASCII)
#: Between quotes a parameter is text.
_LITERAL: Final = re.compile(r"'[^']*'")
SQLITE: Final = "sqlite:"
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}

#: Which keys belong to one kind only, and which of them it cannot do without.
_OWN: Final = {
    "ldap": {
        "servers", "starttls", "base", "filter", "user_dn", "reader_dn", "sender_attributes",
        "suspended_filter",
    },
    "sql": {"database", "query"},
    "http": {"url"},
}  # fmt: skip
_NEEDED: Final = {
    "ldap": {"servers": 'servers = ["ldaps://ldap.example"]'},
    "sql": {
        "database": 'database = "sqlite:users.db"',
        "query": 'query = "SELECT password, senders FROM users WHERE name = :name"',
    },
    "http": {"url": 'url = "https://id.example/login"', "secret_file": 'secret_file = "FILE"'},
}


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def directory_name(text: str) -> str:
    """Take a short name: `explain` and `account show` call the directory by it."""
    if not _NAME.fullmatch(text):
        msg = f'"{text}" is no name for a directory'
        raise wrong(msg, 'write small letters, digits and "-", such as "corp"')
    return text


def directories(found: Sequence[N]) -> Sequence[N]:
    """Refuse a name that is given twice."""
    names = [directory.name for directory in found]
    wrongs = [
        Wrong(f'"{name}" is named twice', "give each its own name", (at, "name"))
        for at, name in enumerate(names)
        if name in names[:at]
    ]
    if wrongs:
        raise WrongValueError(wrongs)
    return found


def ldap_servers(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Take "ldap://HOST[:PORT]" and "ldaps://HOST[:PORT]", nothing behind them."""
    wrongs = []
    for at, url in enumerate(urls):
        parts = urlsplit(url)
        rest = parts.path.strip("/") or parts.query or parts.username
        if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or rest:
            mend = 'write "ldaps://ldap.example", or "ldap://ldap.example" for STARTTLS'
            wrongs.append(Wrong(f'"{url}" is no LDAP server', mend, (at,)))
    if wrongs:
        raise WrongValueError(wrongs)
    return urls


def ldap_filter(text: str) -> str:
    """Take a search filter (RFC 4515) in which the name stands."""
    return ldap_template(balanced(text))


def balanced(text: str) -> str:
    """Take a filter whose parentheses fit."""
    written, depth = text.strip(), 0
    for at, character in enumerate(written):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth <= 0 and at < len(written) - 1:
            break  # it ends before its end
    else:
        if not depth and written.startswith("("):
            return written
    msg = "the parentheses of this filter do not fit"
    raise wrong(msg, 'write it as "(mail={name})" or "(&(objectClass=person)(uid={local}))"')


def ldap_template(text: str) -> str:
    """Take a text in which {name} or {local} stands, and no other word in braces."""
    words = _PLACE.findall(text)
    unknown = [word for word in words if word not in PLACES]
    if unknown:
        msg = f"{{{unknown[0]}}} means nothing here"
        raise wrong(msg, "write {name} (what one logs in with), {local} or {domain} (its parts)")
    if not {"name", "local"}.intersection(words):
        msg = "it is the same for everybody"
        raise wrong(msg, "put {name} or {local} where the name of who logs in belongs")
    return text


def ldap_attribute(text: str) -> str:
    """Take the name of an attribute (RFC 4512 §2.5)."""
    if not _ATTRIBUTE.fullmatch(text):
        msg = f'"{text}" is no attribute'
        raise wrong(msg, 'write one such as "mail"')
    return text


def database(text: str) -> str:
    """Take "sqlite:FILE" or "postgresql://USER@HOST/DATABASE"; never repeats a password."""
    if text.startswith(SQLITE) and len(text) > len(SQLITE):
        return text
    parts = urlsplit(text)
    if parts.scheme not in {"postgresql", "postgres"}:
        msg = "there is no such database"
        raise wrong(msg, 'write "sqlite:FILE" or "postgresql://USER@HOST/DATABASE"')
    if parts.password is not None or "password=" in parts.query:
        msg = "a password stands in it"
        raise wrong(msg, "write it into a file that only the server reads: secret_file")
    return text


def sql_query(text: str) -> str:
    """Take a question with a parameter for the name."""
    if not PARAMETER.search(_LITERAL.sub("''", text)):
        msg = "it asks the same for everybody"
        raise wrong(msg, "put :name (or :local, :domain) where the name belongs, without quotes")
    if "password" not in text.lower() and "*" not in text:
        msg = "it asks for no password"
        raise wrong(msg, 'name the column with the hash: "SELECT hash AS password …"')
    return text


def directory(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse keys of another kind, and too few or contradicting ones of this."""
    others = set().union(*_OWN.values()) - _OWN[kind]
    wrongs = [
        Wrong(f'it does not go with kind = "{kind}"', "remove it", (key,))
        for key in sorted(others.intersection(given))
    ]
    wrongs += [
        Wrong(f"{key} is missing", f"add {example}", (key,))
        for key, example in _NEEDED[kind].items()
        if not given.get(key)
    ]
    if _is_about_local_parts(given) and any("*" in each for each in given.get("match", "*")):
        # alice would log in as alice@victim.example, and own that address.
        what = "without the domain one account answers to its name at every domain"
        mend = 'name them: match = ["corp.example"], or ask for {name} (in SQL, :name)'
        wrongs.append(Wrong(what, mend, ("match",)))
    if kind == "ldap":
        wrongs += _ldap(given)
    if kind == "sql":
        wrongs += _sql(given)
    if wrongs:
        raise WrongValueError(wrongs)


def _is_about_local_parts(given: Mapping[str, Any]) -> bool:
    template = given.get("filter") or given.get("user_dn")
    words = _PLACE.findall(template) if template else PARAMETER.findall(given.get("query") or "")
    return "local" in words and not {"name", "domain"}.intersection(words)


def _ldap(given: Mapping[str, Any]) -> list[Wrong]:
    wrongs = []
    if ("filter" in given) == ("user_dn" in given):
        what = "nothing says where an account is" if "filter" not in given else "it is there twice"
        mend = 'write base and filter = "(mail={name})", or user_dn = "uid={local},ou=people,…"'
        wrongs.append(Wrong(what, mend, ("filter",)))
    if ("filter" in given) != ("base" in given):
        wrongs.append(Wrong("base and filter go together", "write both", ("base",)))
    if ("reader_dn" in given) != ("secret_file" in given):
        mend = "write both, or neither for an anonymous search"
        wrongs.append(Wrong("reader_dn and secret_file go together", mend, ("reader_dn",)))
    if given.get("starttls") is False:
        hosts = {urlsplit(url).hostname for url in given.get("servers", ())}
        if not hosts <= _LOOPBACK:
            what = "without TLS anybody on the way reads the passwords"
            wrongs.append(Wrong(what, "remove it, or ask a server on this machine", ("starttls",)))
    return wrongs


def _sql(given: Mapping[str, Any]) -> list[Wrong]:
    if str(given.get("database", "")).startswith(SQLITE):
        return [
            Wrong("a file needs none", "remove it", (key,))
            for key in ("secret_file", "ca_file")
            if key in given
        ]
    return []
