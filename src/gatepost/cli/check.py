"""`gatepost check`: can this configuration serve, and does it relay for nobody?"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, WRONG, Json, load_settings, print_json, say, settings_path

if TYPE_CHECKING:
    from pathlib import Path

    from gatepost.model.settings import Settings
    from gatepost.operate.check import Proof
    from gatepost.operate.check_finding import Finding

app: Final = usage.Commands()

_MARKS: Final = {"fine": "ok  ", "warning": "warn", "no": "NO  ", "fault": "BAD "}


@app.command()
def check(ctx: usage.Context, json: Json = False) -> None:
    """Validate the configuration and what it names; prove that no path relays without login.

    Exit status 1 when a check failed, 2 when this configuration cannot serve here.
    """
    from gatepost.operate.check_finding import Grade  # noqa: PLC0415

    path = settings_path(ctx)
    settings = load_settings(ctx)
    findings = _findings(settings, path)
    if json:
        print_json(
            [
                {"grade": f.grade.value, "subject": f.subject, "what": f.what, "mend": f.mend}
                for f in findings
            ]
        )
    else:
        say(f"{_MARKS['fine']}  {path}: every key and value is known")
        for finding in findings:
            say(f"{_MARKS[finding.grade.value]}  {finding.subject}: {finding.what}")
            if finding.mend:
                say(f"      {finding.mend}")
    grades = {finding.grade for finding in findings}
    if Grade.FAULT in grades:
        raise usage.Exit(WRONG)
    if Grade.NO in grades:
        raise usage.Exit(NO)


def _findings(settings: "Settings", config: "Path") -> "list[Finding]":
    from gatepost.operate.check import check as check_settings  # noqa: PLC0415
    from gatepost.operate.check_names import dns_findings  # noqa: PLC0415

    heard = dns_findings(settings)
    return [*check_settings(settings, _prove, datetime.now(UTC), config=config), *heard]


def _prove(settings: "Settings") -> "Proof":
    from gatepost.operate.check import OpenDoor, Proof  # noqa: PLC0415
    from gatepost.reception.open_relay import prove  # noqa: PLC0415

    tried = prove(settings)
    doors = (OpenDoor(t.door.name, f"{t.reply.code} {t.reply.text}") for t in tried if t.is_open)
    return Proof(len(tried), tuple(doors))
