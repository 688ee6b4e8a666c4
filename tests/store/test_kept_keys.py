"""Idempotency keys: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.ids import AccountName, SubmissionId
from gatepost.store.kept_keys import KeptKey
from tests.store.makers import NOON
from tests.store.openers import OPENERS, Opener

ONE = KeptKey(AccountName("app"), "k", b"\0digest", SubmissionId("s1"), NOON)


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_key_is_its_account_s_own_and_old_ones_go(opener: Opener, tmp_path: Path):
    store = await opener(tmp_path)
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
