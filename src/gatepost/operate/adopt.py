"""Let what is there be the store from now on, whatever was remembered of another one."""

from dataclasses import dataclass

from gatepost.model.settings import Settings
from gatepost.store.content_identity import adopt as adopt_contents
from gatepost.store.opening import where
from gatepost.store.segments import disk_trouble
from gatepost.store.sqlite_place import CONTENT


@dataclass(frozen=True, slots=True)
class Adopted:
    """What is the store's from now on, and the words for an operator."""

    what: str
    words: str


def adopt(settings: Settings) -> Adopted:
    """Forget what was remembered of another one. Raises StoreUnavailableError."""
    if settings.store == "sqlite":
        adopt_contents(settings.data_dir)
        directory = str(settings.data_dir / CONTENT)
        return Adopted(directory, f"Mail is stored in {directory} from now on.")
    from gatepost.store.postgresql_lineage import forget  # noqa: PLC0415 - an extra

    try:
        forget(settings.data_dir)
    except OSError as error:
        raise disk_trouble(error) from error
    place = where(settings)
    return Adopted(place, f"What answers next at {place} is the right one. Start serve anew.")
