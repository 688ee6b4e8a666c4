"""Content as the store has it, for those deliveries whose content is not in memory any more."""

from collections.abc import Callable, Sequence

from gatepost.model.ids import SubmissionId
from gatepost.store.protocols import ContentDamagedError, Reading

#: What is known of a submission's content: its pieces, or why it is gone for good.
Content = Sequence[bytes] | str


def contents_of(
    wanted: Sequence[SubmissionId],
) -> Callable[[Reading], dict[SubmissionId, Content]]:
    """Return the query for the contents of some submissions."""

    def read(store: Reading) -> dict[SubmissionId, Content]:
        found: dict[SubmissionId, Content] = {}
        for identifier in wanted:
            try:
                octets = store.content(identifier)
            except ContentDamagedError as damage:
                found[identifier] = f"the stored content is damaged: {damage}"
                continue
            found[identifier] = "the stored content is gone" if octets is None else (octets,)
        return found

    return read
