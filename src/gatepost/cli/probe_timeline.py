"""A probe for a person: each port's timeline, then the findings, then what to set in a client."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gatepost.cli import usage
from gatepost.cli.context import in_one_line

if TYPE_CHECKING:
    from gatepost.operate.probe import Probed
    from gatepost.operate.probe_finding import Finding
    from gatepost.operate.probe_seen import PortSeen, Step

_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "fine": ("ok  ", "green"),
    "note": ("note", "yellow"),
    "no": ("NO  ", "red"),
}
_GRADES: Final[Mapping[str, tuple[str, str]]] = {
    "problem": ("PROBLEM", "red"),
    "note": ("note   ", "yellow"),
}
#: What the timeline calls a step.
_NAMES: Final[Mapping[str, str]] = {
    "hello": "EHLO",
    "starttls": "STARTTLS",
    "handshake": "TLS",
    "login": "AUTH",
    "mail": "MAIL",
    "rcpt": "RCPT",
    "reset": "RSET",
    "quit": "QUIT",
}


def print_probed(probed: "Probed", *, colour: bool) -> None:
    """Print it all; `colour` for a terminal."""
    for line in _lines(probed, colour=colour):
        usage.echo(line, color=colour)


def _lines(probed: "Probed", *, colour: bool) -> Iterator[str]:
    seen = probed.seen
    title = f" ({probed.provider.title})" if probed.provider else ""
    yield _styled(f"{seen.wanted.host}{title}", colour=colour, bold=True)
    if seen.names.step is not None:
        yield _step(seen.names.step, colour=colour)
    for port in seen.ports:
        yield ""
        yield from _port(port, colour=colour)
    yield ""
    for finding in probed.findings:
        yield from _finding(finding, colour=colour)
    yield from _summary(probed, colour=colour)


def _port(port: "PortSeen", *, colour: bool) -> Iterator[str]:
    yield _styled(f"Port {port.port}", colour=colour, bold=True)
    for step in port.steps:
        yield _step(step, colour=colour)
        # One exchange says all in its line; a login and a list of keywords say more.
        if step.stage.value == "login":
            yield from (_styled(f"{'':24}{line}", colour=colour, dim=True) for line in step.lines)


def _step(step: "Step", *, colour: bool) -> str:
    word, hue = _MARKS[step.mark.value]
    name = _NAMES.get(step.stage.value, step.stage.value)
    words = _styled(step.words, colour=colour, fg=None if step.mark.value == "fine" else hue)
    return f"  {_styled(word, colour=colour, fg=hue)}  {name:<9} {step.took:6.3f} s  {words}"


def _finding(finding: "Finding", *, colour: bool) -> Iterator[str]:
    word, hue = _GRADES[finding.grade.value]
    where = f"port {finding.port}: " if finding.port else ""
    what = _styled(f"{where}{finding.what}", colour=colour, bold=finding.grade.value == "problem")
    yield f"{_styled(word, colour=colour, fg=hue)}  {what}"
    if finding.heard:
        yield f"         heard  {in_one_line(finding.heard)}"
    yield f"         cause  {in_one_line(finding.cause)}"
    yield f"         mend   {in_one_line(finding.mend)}"


def _summary(probed: "Probed", *, colour: bool) -> Iterator[str]:
    seen = probed.seen
    if not probed.findings:
        yield _styled("No problem found.", colour=colour, fg="green")
    if (advice := probed.advice) is not None:
        how = f", log in by {advice.mechanism}" if advice.mechanism else ""
        words = f"Use {advice.host}, port {advice.port}, {advice.security}{how}."
        yield _styled(words, colour=colour, fg="green")
    if not seen.wanted.username and any(port.mechanisms for port in seen.ports):
        yield "No login was tried: --user NAME --password-stdin does."


def _styled(
    text: str, *, colour: bool, fg: str | None = None, bold: bool = False, dim: bool = False
) -> str:
    shown = in_one_line(text)
    return usage.style(shown, fg=fg, bold=bold or None, dim=dim or None) if colour else shown
