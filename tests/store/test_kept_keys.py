"""Idempotency keys: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from gatepost.model.ids import AccountName, SubmissionId, WorkerId
from gatepost.store.kept_keys import KeptKey
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import NOON

ONE = KeptKey(AccountName("app"), "k", b"\0digest", SubmissionId("s1"), NOON)


async def test_a_key_is_its_account_s_own_and_old_ones_go(tmp_path: Path):
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    try:
        await store.write(lambda tx: tx.keep_key(ONE, forget_before=NOON))
        assert await store.read(lambda r: r.kept_key(ONE.account, "k")) == ONE
        assert await store.read(lambda r: r.kept_key(AccountName("other"), "k")) is None
        later = replace(ONE, submission_id=SubmissionId("s2"), at=NOON + timedelta(2))
        await store.write(lambda tx: tx.keep_key(later, forget_before=NOON))
        assert await store.read(lambda r: r.kept_key(ONE.account, "k")) == later
        newer = replace(later, key="n", at=NOON + timedelta(5))
        await store.write(lambda tx: tx.keep_key(newer, forget_before=NOON + timedelta(4)))
        assert await store.read(lambda r: r.kept_key(ONE.account, "k")) is None
        assert await store.read(lambda r: r.kept_key(ONE.account, "n")) == newer
    finally:
        await store.close()
