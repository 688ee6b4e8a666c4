"""Files that the settings name and workers read once: what is in them is part of the settings."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from gatepost.model.settings import Settings
from gatepost.node.privileges import Identity, acting_as


def files_of(settings: Settings) -> Iterator[Path]:
    """Yield them. A refresh token is none: we replace it ourselves, and read it when it is used."""
    oauth = settings.auth.oauth
    named = [settings.master_key, settings.store_password_file]
    if oauth is not None:
        named += [oauth.jwks_file, oauth.client_secret_file]
    for route in settings.routes:
        named += [route.password_file, route.client_certificate, route.client_key]
        if route.oauth is not None:
            named.append(route.oauth.client_secret_file)
    for directory in settings.auth.directories:
        named += [directory.secret_file, directory.ca_file]
    yield from dict.fromkeys(path for path in named if path is not None)


def contents_of(settings: Settings, reader: Identity | None) -> dict[Path, bytes]:
    """Return a hash of what is in each, read as this user; b"" where it cannot be read."""
    found = {}
    with acting_as(reader):
        for path in files_of(settings):
            try:
                found[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                found[path] = b""
    return found
