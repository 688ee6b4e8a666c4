"""One stranger's name servers that never answer hold up nobody else's questions."""

import asyncio

import pytest

from gatepost.net.dns_shares import Parties, Share, Shares, Slots
from gatepost.net.resolver import DnsTemporaryError, Resolver
from tests.dns_server import DnsServer

PATIENCE = 30.0


async def test_silence_for_one_network_holds_up_no_other() -> None:
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        dns.add("good.test", "TXT", '"here"')
        resolver = Resolver([dns.address], patience=10 * PATIENCE)
        shares = Shares(resolver)
        stranger = shares.on_behalf_of("192.0.2.7")
        names = [f"n{number}.silent.test" for number in range(300)]
        for name in [*names, "late.test"]:
            dns.for_name(name).silent = True
        asked = [
            asyncio.create_task(stranger.records(name, "TXT")) for name in [*names, "good.test"]
        ]
        while len(dns.queries) < 16:
            await asyncio.sleep(0.01)
        assert await shares.on_behalf_of("198.51.100.1").records("good.test", "TXT") == ('"here"',)
        assert len(dns.queries) == 17
        # More than may wait fails at once: its own network's only, neighbours of it included.
        refused = [task for task in asked if task.done()]
        assert len(refused) == 301 - 16 - 256
        with pytest.raises(DnsTemporaryError, match="too many questions"):
            await refused[0]
        with pytest.raises(DnsTemporaryError, match="too many questions"):
            await shares.on_behalf_of("192.0.2.200").records("late.test", "TXT")
        await resolver.close()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert not [each for each in done if isinstance(each, tuple)]


async def test_who_hangs_up_keeps_its_share_until_the_answer() -> None:
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        resolver = Resolver([dns.address], patience=10 * PATIENCE)
        stranger = Shares(resolver).on_behalf_of("2001:db8::1")
        for number in range(40):
            dns.for_name(f"n{number}.test").silent = True
            task = asyncio.create_task(stranger.records(f"n{number}.test", "TXT"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        while len(dns.queries) < 16:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert len(dns.queries) == 16
        await resolver.close()


async def test_an_answer_makes_room_for_the_next_question() -> None:
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        for number in range(100):
            dns.add(f"n{number}.test", "TXT", f'"{number}"')
        resolver = Resolver([dns.address], patience=PATIENCE)
        stranger = Shares(resolver).on_behalf_of("192.0.2.7")
        found = await asyncio.gather(
            *(stranger.records(f"n{number}.test", "TXT") for number in range(100))
        )
        assert found == [(f'"{number}"',) for number in range(100)]


async def test_an_account_takes_no_more_than_it_leaves_four_times() -> None:
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        for name in ("good.test", "later.test"):
            dns.add(name, "MX", "10 mx.good.test.")
        resolver = Resolver([dns.address], patience=10 * PATIENCE)
        mallory, bob = map(Parties().share_of, ("mallory", "bob"))
        names = [f"n{number}.silent.test" for number in range(300)]
        for name in names:
            dns.for_name(name).silent = True
        asked = [asyncio.create_task(resolver.mx(name, mallory)) for name in [*names, "later.test"]]
        while len(dns.queries) < 103:  # four fifths of 128
            await asyncio.sleep(0.01)
        # Bob's answers come at once, for a name that Mallory waits to ask for, too.
        assert (await resolver.mx("good.test", bob)).records
        assert (await resolver.mx("later.test", bob)).records
        assert (await resolver.mx("good.test")).records
        assert len(dns.queries) == 105
        assert not asked[-1].done()
        await resolver.close()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_who_asks_for_the_same_at_the_same_time_asks_once() -> None:
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        dns.add("good.test", "MX", "10 mx.good.test.")
        dns.for_name("good.test").delay = 0.1
        resolver = Resolver([dns.address], patience=PATIENCE)
        parties = Parties()
        await asyncio.gather(
            *(resolver.mx("good.test", parties.share_of(f"a{number}")) for number in range(20))
        )
        assert dns.count == 1


async def test_names_that_failed_lately_have_little_room() -> None:
    time = 0.0
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        dns.add("good.test", "TXT", '"here"')
        names = [f"n{number}.bad.test" for number in range(100)]
        for name in names:
            dns.for_name(name).rcode = "SERVFAIL"
        resolver = Resolver([dns.address], patience=10 * PATIENCE, clock=lambda: time)
        await asyncio.gather(*map(resolver.texts, names), return_exceptions=True)
        for name in names:
            dns.for_name(name).silent = True
        time = 60.0
        dns.queries.clear()
        asked = [asyncio.create_task(resolver.texts(name)) for name in names]
        while len(dns.queries) < 26:  # four fifths of 32
            await asyncio.sleep(0.01)
        assert await resolver.texts("good.test") == ("here",)
        assert len(dns.queries) == 27
        await resolver.close()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_whose_names_never_answer_holds_up_nobody_elses_that_failed_once() -> None:
    """Of an account with thousands of such names each would be 4 s in the way."""
    time = 0.0
    async with DnsServer() as dns, asyncio.timeout(PATIENCE):
        dns.add("once.test", "MX", "10 mx.good.test.")
        names = [f"n{number}.bad.test" for number in range(100)]
        for name in (*names, "once.test"):
            dns.for_name(name).rcode = "SERVFAIL"
        resolver = Resolver([dns.address], patience=10 * PATIENCE, clock=lambda: time)
        mallory, bob = map(Parties().share_of, ("mallory", "bob"))
        first = [*(resolver.mx(name, mallory) for name in names), resolver.mx("once.test", bob)]
        failed = await asyncio.gather(*first, return_exceptions=True)
        assert {type(each) for each in failed} == {DnsTemporaryError}
        for name in names:
            dns.for_name(name).silent = True
        dns.for_name("once.test").rcode = None
        time = 60.0
        dns.queries.clear()
        asked = [asyncio.create_task(resolver.mx(name, mallory)) for name in names]
        while len(dns.queries) < 26:
            await asyncio.sleep(0.01)
        assert (await resolver.mx("once.test", bob)).records
        assert len(dns.queries) == 27
        await resolver.close()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_a_party_keeps_what_it_has_of_names_that_failed() -> None:
    slots, share = Slots(), Share()
    failed = slots.for_failed(share)
    for _ in range(26):
        assert await slots.enter(failed)
    late = asyncio.create_task(slots.enter(failed))
    other = slots.for_failed(Share())
    assert await slots.enter(other)
    assert not late.done()
    for _ in range(4):
        slots.leave(failed)
    assert await late
    assert slots.for_failed(share) is failed
    assert (failed.held, other.held) == (23, 1)


async def test_who_gives_up_in_line_leaves_the_turn_to_others() -> None:
    slots, share = Slots(), Share(1)
    assert await slots.enter(share)
    first, second = (asyncio.create_task(slots.enter(share)) for _ in range(2))
    await asyncio.sleep(0)
    slots.leave(share)
    first.cancel()  # as its turn has come
    assert await second
    assert first.cancelled()
    slots.leave(share)
    assert share.held == 0
