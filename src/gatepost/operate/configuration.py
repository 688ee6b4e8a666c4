"""Find gatepost.toml and read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatepost.model.settings_fault import Fault, SettingsError

if TYPE_CHECKING:
    from gatepost.model.settings import Settings
    from gatepost.model.store_place import Place

FILE_NAME: Final = "gatepost.toml"
SYSTEM_FILE: Final = Path("/etc/gatepost/gatepost.toml")
#: More than any configuration; less than what hurts when somebody names a disk image.
_LARGEST: Final = 4 * 2**20


def locate(given: Path | None, environment: Mapping[str, str], here: Path) -> Path:
    """Return the file to read: `given` (-c), $GATEPOST_CONFIG, ./gatepost.toml, the system's.

    Raises:
        SettingsError: there is none of them. A file that was named is not looked for elsewhere.

    """
    if given is not None:
        return given
    if named := environment.get("GATEPOST_CONFIG"):
        return Path(named)
    for path in (here / FILE_NAME, SYSTEM_FILE):
        if path.exists():
            return path
    what = f"there is no {FILE_NAME} here, and no {SYSTEM_FILE}"
    mend = 'make one with "gatepost init", or name it with -c FILE'
    raise SettingsError([Fault(FILE_NAME, 0, "", what, mend)])


def load(path: Path, environment: Mapping[str, str]) -> "Settings":
    """Return the settings of one file.

    Raises:
        SettingsError: the file cannot be read, or something in it is wrong.

    """
    from gatepost.model.settings_file import read_settings  # noqa: PLC0415 - not for `load_place`

    return read_settings(_text(path), str(path), path.parent.absolute(), environment)


def load_place(path: Path, environment: Mapping[str, str]) -> "Place":
    """Return where the store of one file is, reading as little as will do.

    Raises:
        SettingsError: the file cannot be read, or must be read as a whole and something is wrong.

    """
    from gatepost.model.store_place import read_place  # noqa: PLC0415

    place = read_place(_text(path), path.parent.absolute(), environment)
    return place or load(path, environment)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
        text = octets[:_LARGEST].decode("utf-8-sig")  # some editors put a mark in front
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file", 'make one with "gatepost init"') from None
    except PermissionError:
        mend = f"run as its owner, or: chmod u+r {path}"
        raise _unreadable(path, "it may not be read by this user", mend) from None
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        what = "it is not UTF-8 text"
        fault = Fault(str(path), line, "", what, "save it as UTF-8")
        raise SettingsError([fault]) from None
    except OSError as error:
        what = f"it cannot be read ({error.strerror})"
        raise _unreadable(path, what, "name a file with -c FILE") from None
    if len(octets) > _LARGEST:
        raise _unreadable(path, "it is larger than 4 MiB", "name a gatepost.toml with -c FILE")
    return text


def _unreadable(path: Path, what: str, mend: str) -> SettingsError:
    return SettingsError([Fault(str(path), 0, "", what, mend)])
