"""Where a delivery goes, by settings alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from gatepost.delivery.routing import Hop, Routing, build_routing
from gatepost.model.delivery import DeliveryState
from gatepost.model.route import (
    ClientCertificate,
    RefreshGrant,
    TlsMode,
    TokenCommand,
    Via,
    ViaCapture,
    ViaDiscard,
    ViaHold,
    ViaLmtp,
    ViaMaildir,
    ViaMx,
    ViaSmtp,
)
from gatepost.model.secret import Secret
from gatepost.model.settings import Settings
from tests.store.makers import delivery, submission

MAIL = ViaMaildir("/data/mail")
LMTP = ViaLmtp("127.0.0.1", 24)
SMART = ViaSmtp("smart.example", 587)
ROUTING = Routing(
    local={"local.test": MAIL, "lmtp.test": LMTP},
    routes=(
        ("one.example", ViaCapture()),
        ("*.one.example", ViaDiscard()),
        ("held.example", ViaHold()),
        ("local.test", SMART),
        ("two.example", SMART),
    ),
    postmaster=None,
    postmaster_directory="/data",
)

CASES: list[tuple[str, str, Via, str, str]] = [
    # forward-path, destination -> via, what is said, mailbox
    ("a@local.test", "local.test", MAIL, "a@local.test", "a"),
    ("A.B@local.test", "local.test", MAIL, "A.B@local.test", "a.b"),
    ('"a b"@local.test', "local.test", MAIL, '"a b"@local.test', "a b"),
    ("a@lmtp.test", "lmtp.test", LMTP, "a@lmtp.test", ""),
    ("a@one.example", "one.example", ViaCapture(), "a@one.example", ""),
    ("a@sub.one.example", "sub.one.example", ViaDiscard(), "a@sub.one.example", ""),
    ("a@xone.example", "xone.example", ViaMx(), "a@xone.example", ""),
    ("a@held.example", "held.example", ViaMx(), "a@held.example", ""),
    ("a@two.example", "two.example", SMART, "a@two.example", ""),
    ("a@[192.0.2.1]", "[192.0.2.1]", ViaMx(), "a@[192.0.2.1]", ""),
    ("postmaster@two.example", "two.example", SMART, "postmaster@two.example", ""),
]


@pytest.mark.parametrize(("forward_path", "destination", "via", "said", "mailbox"), CASES)
def test_local_domains_then_routes_then_mx(
    forward_path: str, destination: str, via: Via, said: str, mailbox: str
) -> None:
    assert ROUTING.hop(forward_path, destination) == Hop(via, said, destination, mailbox)


@pytest.mark.rfc("5321#4.5.1")
@pytest.mark.parametrize(
    ("forward_path", "destination"),
    [
        ("postmaster", ""),
        ("PostMaster", ""),
        ("postmaster@local.test", "local.test"),
        ("Postmaster@lmtp.test", "lmtp.test"),
        ('"postmaster"@lmtp.test', "lmtp.test"),
    ],
)
@pytest.mark.parametrize(
    ("setting", "hop"),
    [
        (None, Hop(ViaMaildir("/data"), "postmaster", "", "postmaster")),
        ("Ops@Local.test", Hop(MAIL, "Ops@local.test", "local.test", "ops")),
        ("ops@two.example", Hop(SMART, "ops@two.example", "two.example")),
        ("postmaster@lmtp.test", Hop(ViaMaildir("/data"), "postmaster", "", "postmaster")),
    ],
)
def test_postmaster(forward_path: str, destination: str, setting: str | None, hop: Hop) -> None:
    routing = Routing(ROUTING.local, ROUTING.routes, setting, "/data")
    assert routing.hop(forward_path, destination) == hop


def test_a_hold_route_holds_what_is_new() -> None:
    assert ROUTING.placement("held.example") is DeliveryState.HELD
    assert ROUTING.placement("one.example") is DeliveryState.DUE
    assert ROUTING.placement("local.test") is DeliveryState.DUE
    hold_all = replace(ROUTING, routes=(("*", ViaHold()),))
    assert hold_all.placement("one.example") is DeliveryState.HELD
    assert hold_all.placement("local.test") is DeliveryState.DUE  # our own come before routes


@pytest.mark.parametrize(
    ("destination", "asked", "default", "pool"),
    [
        ("y.example", None, "", ""),
        ("y.example", None, "default", "default"),
        ("y.example", "bulk", "", "bulk"),
        ("y.example", "bulk", "default", "bulk"),
        ("two.example", "bulk", "default", "bulk"),
        ("routed.example", None, "", "news"),
        ("routed.example", "bulk", "default", "news"),
        ("smart.example", "bulk", "default", ""),
        ("local.test", "bulk", "default", ""),
        ("lmtp.test", "bulk", "default", ""),
        ("own.test", "bulk", "default", ""),
        ("one.example", "bulk", "default", ""),
    ],
)
def test_the_pool_is_the_route_s_or_the_account_s(
    destination: str, asked: str | None, default: str, pool: str
) -> None:
    routes = (
        ("routed.example", ViaMx(pool="news")),
        ("smart.example", replace(SMART, pool="system")),
        *ROUTING.routes,
    )
    local = {**ROUTING.local, "own.test": replace(SMART, pool="system")}
    routing = replace(ROUTING, local=local, routes=routes, default_pool=default, names_pools=True)
    message = submission()
    (way,) = routing.pooled((delivery(message, f"a@{destination}"),), asked)
    assert way.pool == pool


def test_nothing_is_done_where_no_pool_is_named() -> None:
    ways = (delivery(submission()),)
    assert ROUTING.pooled(ways, None) is ways


def test_a_pool_that_is_asked_for_needs_no_other() -> None:
    (way,) = ROUTING.pooled((delivery(submission(), "a@y.example"),), "bulk")
    assert way.pool == "bulk"


def test_pools_are_read_from_the_settings(tmp_path: Path) -> None:
    def built(**more: object) -> Routing:
        return build_routing(settings(tmp_path, **more))

    assert (built().default_pool, built().names_pools) == ("", False)
    news = {"name": "a.example", "ipv4": "192.0.2.1", "pools": ["news"]}
    assert built(egress=[news]).default_pool == ""
    assert built(egress=[news, {"name": "b.example", "ipv6": "::1"}]).default_pool == "default"
    routed = built(
        routes=[{"match": ["x"], "via": "smtp:h.test:25", "pool": "news"}],
        local_domains=[{"name": "own.test", "deliver_to": "smtp:h.test:25"}],
    )
    assert routed.names_pools
    assert routed.routes[0][1] == ViaSmtp("h.test", 25, pool="news")
    assert routed.local["own.test"] == ViaSmtp("h.test", 25, pool="system")


def settings(tmp_path: Path, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "hostname": "relay.example",
            "data_dir": tmp_path,
            "tls": {"certificate": "c.pem", "private_key": "k.pem"},
            "listeners": [{"address": "127.0.0.1:2525", "role": "mx"}],
            **more,
        }
    )


def test_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("se cret\n")
    routing = build_routing(
        settings(
            tmp_path,
            local_domains=[{"name": "local.test", "deliver_to": "maildir:mail"}],
            routes=[
                {"match": ["a.example", "*.a.example"], "via": "mx", "tls": "required"},
                {
                    "match": ["*"],
                    "via": "smtp:smart.example:587",
                    "username": "u",
                    "password_file": tmp_path / "password",
                },
            ],
        )
    )
    assert routing.hop("x@local.test", "local.test").via == ViaMaildir(str(tmp_path / "mail"))
    assert routing.hop("x@b.a.example", "b.a.example").via == ViaMx(TlsMode.REQUIRED)
    smart = routing.hop("x@other.example", "other.example").via
    assert isinstance(smart, ViaSmtp)
    assert smart.tls is TlsMode.REQUIRED
    assert smart.login is not None
    assert smart.login.password.reveal() == "se cret"


TRADE = {
    "token_url": "https://id.example/token",
    "client_id": "us",
    "refresh_token_file": "refresh",
    "scope": "mail",
}


@pytest.mark.parametrize(
    ("more", "token", "certificate"),
    [
        ({"token_command": "print-one"}, TokenCommand("print-one"), None),
        ({"oauth": TRADE}, RefreshGrant(TRADE["token_url"], "us", None, Path("refresh"), "mail"), None),
        ({"oauth": {**TRADE, "client_secret_file": "secret"}},
         RefreshGrant(TRADE["token_url"], "us", Secret("of secret"), Path("refresh"), "mail"), None),
        ({"client_certificate": "chain", "client_key": "key"}, None,
         ClientCertificate("of chain\n", Secret("of key\n"))),
    ],
)  # fmt: skip
def test_a_route_s_login_is_read_from_its_files(
    tmp_path: Path, more: dict[str, object], token: object, certificate: object
) -> None:
    route = {"match": ["*"], "via": "smtp:smart.example:587", "username": "u", **more}
    given = settings(tmp_path, routes=[route])
    routing = build_routing(given, lambda path: f"of {path.name}\n")
    via = routing.hop("x@y.example", "y.example").via
    assert isinstance(via, ViaSmtp)
    assert via.login is not None
    if isinstance(token, RefreshGrant):
        assert isinstance(via.login.token, RefreshGrant)
        found = replace(
            via.login.token, refresh_token_file=Path(via.login.token.refresh_token_file.name)
        )
        assert found == token
    else:
        assert via.login.token == token
    assert via.login.certificate == certificate
    assert via.login.password.reveal() == ""
