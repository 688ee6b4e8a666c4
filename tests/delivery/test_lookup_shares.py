"""Names whose servers never answer hold up nobody else's mail."""

from gatepost.model.ids import AccountName
from tests.delivery.rig import Rig
from tests.sink import Sink


async def test_silence_for_one_account_holds_up_no_other() -> None:
    async with Sink() as sink, Rig(sink.port) as rig:
        rig.mx("good.example", (10, "mx.good.example", "127.0.0.1"))
        names = [f"n{number}.silent.example" for number in range(500)]
        for name in names:
            rig.dns.for_name(name).silent = True
        mallory, bob = AccountName("mallory"), AccountName("bob")
        slow = await rig.submit(*[f"b@{name}" for name in names], account=mallory)
        await rig.until_state(await rig.submit("c@good.example", account=bob))
        # Not all of the others were asked for before it.
        assert len(rig.dns.queries) < 300
        assert rig.row(slow[-1]).attempts == 0
