"""gatepost.toml -> `Settings`: all faults at once, each with file, line, key and mend.

Pure: the text, the file's folder and the environment come in, nothing is opened.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gatepost.model import settings_lines
from gatepost.model.route import ViaMaildir
from gatepost.model.settings import LocalDomainSettings, Settings
from gatepost.model.settings_environment import override
from gatepost.model.settings_fault import Fault, SettingsError
from gatepost.model.via import parse_delivery_target
from gatepost.model.wrong import Wrong, WrongValueError

S = TypeVar("S", bound=BaseModel)

_REFRESH_FILES: Final = ("client_secret_file", "refresh_token_file")

#: What to write for a key that must be there.
_EXAMPLES: Final = {
    "hostname": 'hostname = "relay.example" (the name by which other servers know this one)',
    "tls": '[tls] with certificate = "cert.pem" and private_key = "key.pem"',
    "tls.certificate": 'certificate = "cert.pem"',
    "tls.private_key": 'private_key = "key.pem"',
    "auth.oauth.audience": 'audience = "gatepost"',
    "listeners": '[[listeners]] with address = "127.0.0.1:2587" and role = "submission"',
    "listeners[].address": 'address = "127.0.0.1:2587"',
    "listeners[].role": 'role = "submission" ("submissions", "mx")',
    "local_domains[].name": 'name = "local.test"',
    "local_domains[].deliver_to": 'deliver_to = "maildir:mail"',
    "routes[].match": 'match = ["example", "*.example"]',
    "routes[].via": 'via = "smtp:127.0.0.1:2526"',
}

#: What pydantic's kinds of error ask for, in our words.
_WANTED: Final = {
    "string_type": 'write a text in quotes: "…"',
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "tuple_type": "write a list in brackets: […]",
    "path_type": 'write a file name in quotes: "…"',
    "too_short": "name at least one",
}
_UNSPEAKABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_BITS: Final = 63
_TOML_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def read_settings(
    text: str, file_name: str, directory: Path, environment: Mapping[str, str]
) -> Settings:
    """Return the settings of one file, relative paths resolved.

    Args:
        text: the file's text.
        file_name: what to call it in faults.
        directory: the file's folder; certificates, password files and data_dir are relative to
            it, maildirs to data_dir.
        environment: GATEPOST_STORE, GATEPOST_LIMITS__RECIPIENTS and so on override the file.

    Raises:
        SettingsError: with every fault that was found.

    """
    document = _Document(file_name, text)
    values = read_toml(text, file_name)
    overridden = override(values, environment, Settings.model_fields)
    document.variables.update(overridden.variables)
    faults = [
        Fault("environment", 0, u.variable, u.wrong.what, u.wrong.mend) for u in overridden.unknown
    ]
    faults += document.out_of_this_world(overridden.values)
    try:
        settings = Settings.model_validate(overridden.values)
    except ValidationError as error:
        for found in _without_echoes(error.errors(include_url=False)):
            faults += document.faults_of(found)
        raise SettingsError(_in_order(faults)) from None
    if faults:
        raise SettingsError(_in_order(faults))
    return _resolved(settings, directory)


def read_toml(text: str, file_name: str) -> dict[str, Any]:
    """Return the document of a text. Raises SettingsError for what is none, or none of ours."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_syntax(error, file_name, text)]) from None
    except ValueError:  # more digits than Python reads
        what, mend = "a number has thousands of digits", "write a smaller one"
    except RecursionError:
        what, mend = "lists or tables are nested hundreds of levels deep", "no key needs that"
    raise SettingsError([Fault(file_name, 0, "", what, mend)])


@dataclass(slots=True)
class _Document:
    """A file's text, to say where a fault is."""

    file_name: str
    text: str
    #: Which variable gave a path its value.
    variables: dict[settings_lines.Path, str] = field(default_factory=dict)
    _lines: dict[settings_lines.Path, int] | None = None

    def fault(self, path: settings_lines.Path, what: str, mend: str) -> Fault:
        """Return the fault of one path, in the file or in the environment."""
        for end in range(len(path), 0, -1):
            if variable := self.variables.get(path[:end]):
                return Fault("environment", 0, variable, what, mend)
        if self._lines is None:
            self._lines = settings_lines.find_lines(self.text)
        line = settings_lines.line_of(self._lines, path)
        return Fault(self.file_name, line, key_words(path), what, mend)

    def out_of_this_world(self, values: dict[str, Any]) -> Iterator[Fault]:
        """Find what no file, host or password can have in it: NUL, and half a surrogate pair; and
        numbers of more than 64 bits (TOML 1.0.0).
        """
        for path in _paths(values):
            value = _value(values, path)
            if isinstance(value, str) and _UNSPEAKABLE.search(value):
                what = "it has a character that is none: NUL, or octets that are not UTF-8"
                yield self.fault(path, what, "write it anew")
            elif isinstance(value, int) and value.bit_length() > _BITS:
                yield self.fault(path, "the number is out of bounds", "write a smaller one")

    def faults_of(self, error: ErrorDetails) -> Iterator[Fault]:
        """Put one of pydantic's errors into our words."""
        path: settings_lines.Path = tuple(error["loc"])
        for found in _wrongs(error, path):
            yield self.fault((*path, *found.at), found.what, found.mend)


def _without_echoes(errors: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Drop "too short" where pydantic says it only because it does not count faulty elements."""
    places = [tuple(error["loc"]) for error in errors]
    for error, place in zip(errors, places, strict=True):
        inner = any(p[: len(place)] == place and p != place for p in places)
        if not (error["type"] == "too_short" and inner):
            yield error


def _wrongs(error: ErrorDetails, path: settings_lines.Path) -> tuple[Wrong, ...]:
    kind, context = error["type"], error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, WrongValueError):
        return cause.wrongs
    if isinstance(cause, ValueError):
        return (Wrong(f"{_shown(error['input'])} is not understood", f"it {cause}"),)
    if kind == "missing":
        return (Wrong("it is missing", f"add {_EXAMPLES.get(_pattern(path), 'it')}"),)
    if kind == "extra_forbidden":
        return (_unknown(path),)
    if kind in {"enum", "literal_error"}:
        return (_choice(str(error["input"]), str(context.get("expected", ""))),)
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return (Wrong("it is a table, not a value", f"write [{key_words(path)}] above its keys"),)
    if kind in {"greater_than_equal", "less_than_equal"}:
        least, most = context.get("ge"), context.get("le")
        bound = f"at least {least}" if least is not None else f"at most {most}"
        return (Wrong(f"{_shown(error['input'])} is out of bounds", f"write {bound}"),)
    if kind == "tuple_type" and isinstance(error["input"], dict):
        mend = f"write [[{key_words(path)}]], with two brackets: there may be several"
        return (Wrong("it is one table, and should be a list of them", mend),)
    mend = _WANTED.get(kind, error["msg"])
    return (Wrong(f"{_shown(error['input'])} does not fit", mend),)


def _unknown(path: settings_lines.Path) -> Wrong:
    known = sorted(_fields_at(path[:-1]))
    near = difflib.get_close_matches(str(path[-1]), known, 1, cutoff=0.6)
    mend = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return Wrong("there is no such key", mend)


def _choice(value: str, expected: str) -> Wrong:
    choices = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(value, choices, 1)
    mend = f'did you mean "{near[0]}"?' if near else f"write one of {', '.join(choices)}"
    return Wrong(f'there is no "{value}"', mend)


def _fields_at(path: settings_lines.Path) -> Mapping[str, Any]:
    """Return the keys that a table may have."""
    model: type[BaseModel] = Settings
    for key in path:
        if isinstance(key, int):
            continue
        info = model.model_fields.get(key)
        inner = _model_in(info.annotation) if info else None
        if inner is None:
            return {}
        model = inner
    return model.model_fields


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _BITS:
        return "the number"  # Python does not write it
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def key_words(path: settings_lines.Path) -> str:
    """Return "listeners[1].role" for ("listeners", 1, "role")."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _pattern(path: settings_lines.Path) -> str:
    return "".join("[]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _paths(value: object, path: settings_lines.Path = ()) -> Iterator[settings_lines.Path]:
    """Yield every path in a document, outer before inner."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _paths(inner, (*path, number))


def _value(values: Any, path: settings_lines.Path) -> Any:  # noqa: ANN401
    for key in path:
        values = values[key]
    return values


def _syntax(error: tomllib.TOMLDecodeError, file_name: str, text: str) -> Fault:
    place = _TOML_PLACE.search(str(error))
    words = _TOML_PLACE.sub("", str(error))
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    what = f"this is not TOML: {words[:1].lower()}{words[1:]}"
    mend = 'look at this line: texts stand in "quotes", lists in [brackets], tables as [name]'
    return Fault(file_name, line, "", what, mend)


def _in_order(faults: list[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda f: (f.line == 0, f.line, f.key))


def _resolved(settings: Settings, directory: Path) -> Settings:
    tls = settings.tls
    data_dir = directory / settings.data_dir
    more = tuple(
        c.model_copy(
            update={
                "certificate": directory / c.certificate,
                "private_key": directory / c.private_key,
            }
        )
        for c in tls.more
    )
    routes = tuple(
        _with_files(
            r.model_copy(
                update={"oauth": r.oauth and _with_files(r.oauth, directory, *_REFRESH_FILES)}
            ),
            directory,
            *("password_file", "client_certificate", "client_key"),
        )
        for r in settings.routes
    )
    oauth = settings.auth.oauth
    if oauth is not None:
        oauth = _with_files(oauth, directory, "jwks_file", "client_secret_file")
    return settings.model_copy(
        update={
            "auth": settings.auth.model_copy(
                update={
                    "oauth": oauth,
                    "directories": tuple(d.below(directory) for d in settings.auth.directories),
                }
            ),
            "data_dir": data_dir,
            "master_key": data_dir / settings.master_key,
            "store_password_file": settings.store_password_file
            and directory / settings.store_password_file,
            "tls": tls.model_copy(
                update={
                    "certificate": directory / tls.certificate,
                    "private_key": directory / tls.private_key,
                    "more": more,
                }
            ),
            "routes": routes,
            "local_domains": tuple(_with_maildir(d, data_dir) for d in settings.local_domains),
        }
    )


def _with_files(section: S, directory: Path, *keys: str) -> S:
    """Return a section whose files, where they are given, are below `directory`."""
    named = {key: path for key in keys if (path := getattr(section, key)) is not None}
    return section.model_copy(update={key: directory / path for key, path in named.items()})


def _with_maildir(domain: LocalDomainSettings, data_dir: Path) -> LocalDomainSettings:
    target = parse_delivery_target(domain.deliver_to)
    if not isinstance(target, ViaMaildir):
        return domain
    return domain.model_copy(update={"deliver_to": f"maildir:{data_dir / target.directory}"})
