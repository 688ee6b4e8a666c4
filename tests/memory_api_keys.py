"""API keys of a store in memory: what `store.api_keys` promises."""

from dataclasses import replace
from datetime import datetime

from gatepost.model.api_key import ApiKey
from gatepost.model.ids import AccountName


class MemoryApiKeys:
    """`ReadsApiKeys` and `ChangesApiKeys`; the table comes into being when it is asked for."""

    @property
    def key_rows(self) -> dict[str, ApiKey]:
        return self.__dict__.setdefault("_api_keys", {})

    def api_key(self, key_id: str) -> ApiKey | None:
        return self.key_rows.get(key_id)

    def api_keys(self) -> list[ApiKey]:
        return sorted(self.key_rows.values(), key=lambda key: (key.created_at, key.id))

    def put_api_key(self, key: ApiKey) -> None:
        self.key_rows[key.id] = key

    def remove_api_key(self, key_id: str) -> bool:
        return self.key_rows.pop(key_id, None) is not None

    def note_api_key_use(self, key_id: str, at: datetime) -> None:
        if key_id in self.key_rows:
            self.key_rows[key_id] = replace(self.key_rows[key_id], last_used_at=at)

    def forget_api_keys_of(self, account: AccountName) -> None:
        for key in self.api_keys():
            if key.account == account:
                del self.key_rows[key.id]
