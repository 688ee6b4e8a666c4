"""What other servers say when they refuse, and what they mean by it (data/refusals.toml).

The validator is `probe_texts_check.py`.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from gatepost.operate.probe_finding import Grade
from gatepost.operate.probe_seen import Stage
from gatepost.wire.smtp.reply_reader import ServerReply


@dataclass(frozen=True, slots=True)
class Provider:
    """One whose texts we know.

    `hosts` are names, "*" for any part of one; `greetings` are found in its greeting or in what it says to
    EHLO. `starttls`: it always offers STARTTLS, so that somebody took it out where it is missing.
    `password`: what it wants for a password, in words; "" where nothing special is known.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    greetings: tuple[str, ...] = ()
    starttls: bool = False
    password: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """One thing that servers say, and what it means.

    It fits a reply of one of the `codes`, at one of the steps `at`, whose enhanced status is
    `status` ("": any) and whose text has one of the `words` (lower case; none: any text will do).
    `anywhere`: nobody but this provider says it, so that it counts behind any name.
    """

    name: str
    at: tuple[Stage, ...]
    codes: tuple[int, ...]
    what: str
    cause: str
    mend: str
    provider: str = ""
    status: str = ""
    words: tuple[str, ...] = ()
    grade: Grade = Grade.PROBLEM
    anywhere: bool = False

    def fits(self, stage: Stage, reply: ServerReply) -> bool:
        """Tell whether this is what was said."""
        if stage not in self.at or reply.code not in self.codes:
            return False
        if self.status and reply.status != self.status:
            return False
        said = reply.text.lower()
        return not self.words or any(words in said for words in self.words)


@dataclass(frozen=True, slots=True)
class Texts:
    """All that we know; of several texts that fit, the first counts."""

    providers: tuple[Provider, ...]
    texts: tuple[Text, ...]

    def provider_of(self, host: str, greeting: str) -> Provider | None:
        """Return whose server this is, by its name, else by how it greets."""
        name = host.lower().removesuffix(".")
        for provider in self.providers:
            if any(fnmatchcase(name, pattern) for pattern in provider.hosts):
                return provider
        said = greeting.lower()
        for provider in self.providers:
            if any(words in said for words in provider.greetings):
                return provider
        return None

    def explain(self, stage: Stage, reply: ServerReply, provider: Provider | None) -> Text | None:
        """Return what a refusal means; None where we do not know."""
        ours = {"", provider.name if provider else ""}
        for text in self.texts:
            if (text.provider in ours or text.anywhere) and text.fits(stage, reply):
                return text
        return None


@cache
def known_texts() -> Texts:
    """Return the texts that come with Gatepost.

    Raises:
        WrongValueError: the file is not as it must be; the tests see to it that it is.

    """
    import tomllib  # noqa: PLC0415

    from gatepost.operate.probe_texts_check import read_texts  # noqa: PLC0415

    octets = files("gatepost").joinpath("data", "refusals.toml").read_bytes()
    return read_texts(tomllib.loads(octets.decode("utf-8")))
