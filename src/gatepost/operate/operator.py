"""Who works: the name that events of an operator's verbs carry."""

import getpass
import os


def operator_name() -> str:
    """Return the login name of the person behind this process, sudo seen through.

    It is for the record, not for a decision: the environment can say what it likes.
    """
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
