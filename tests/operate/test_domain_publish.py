"""What a dynamic update would change in a zone."""

import pytest

from gatepost.operate.domain_publish import Action, plan, step_json
from gatepost.operate.domain_records import Purpose, Record

HOST = "relay.example"
SPF = Record(Purpose.SPF, "example.com", f"v=spf1 a:{HOST} ~all", "")
KEY = Record(Purpose.DKIM, "s._domainkey.example.com", "v=DKIM1; k=rsa; p=TUlHZg==", "")
DMARC = Record(Purpose.DMARC, "_dmarc.example.com", "v=DMARC1; p=none", "")
MX = Record(Purpose.MX, "bounces.example.com", f"10 {HOST}.", "", kind="MX")
STS = Record(Purpose.MTA_STS, "_mta-sts.example.com", "v=STSv1; id=abc", "")
ADD, REPLACE, KEEP, LEAVE = Action.ADD, Action.REPLACE, Action.KEEP, Action.LEAVE


@pytest.mark.parametrize(
    ("record", "found", "action"),
    [
        (SPF, [], ADD),
        (SPF, ["google-site-verification=x"], ADD),
        (SPF, ["v=spf10 -all"], ADD),
        (SPF, [f"v=spf1 +a:{HOST} mx -all"], KEEP),
        (SPF, ["v=spf1 include:_spf.other.example -all"], LEAVE),
        (SPF, [SPF.text, SPF.text], LEAVE),
        (KEY, [], ADD),
        (KEY, ["k=rsa; p=TUlHZg=="], KEEP),
        (KEY, ["v=DKIM1; k=rsa; p="], REPLACE),
        (KEY, ["v=DKIM1; k=rsa; p=AAAA"], REPLACE),
        (KEY, ["nonsense"], REPLACE),
        (KEY, [KEY.text, "v=DKIM1; k=rsa; p=AAAA"], REPLACE),
        (DMARC, [], ADD),
        (DMARC, ["v=DMARC1; p=reject"], KEEP),
        (DMARC, ["something else"], ADD),
        (DMARC, ["v=DMARC1; p=none", "v=DMARC1; p=reject"], LEAVE),
        (MX, [], ADD),
        (MX, ["20 Relay.example.", "10 other.example."], KEEP),
        (MX, ["10 other.example."], LEAVE),
        (MX, ["10 notrelay.example."], LEAVE),
        (STS, ["v=STSv1; id=abc;"], KEEP),
        (STS, ["v=STSv1; id=other"], LEAVE),
    ],
)
def test_only_what_is_missing_or_ours_is_written(
    record: Record, found: list[str], action: Action
) -> None:
    (step,) = plan([record], {(record.name, record.kind): found}, HOST)
    assert step.action is action
    assert (step_json(step)["action"], step_json(step)["type"]) == (action.value, record.kind)
    if action is LEAVE:
        assert found[0] in step.why
