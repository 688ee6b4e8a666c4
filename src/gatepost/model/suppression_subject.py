"""Under which address or domain somebody is suppressed, and for which stream of mail."""

from gatepost.model.grant import canonical
from gatepost.wire.smtp.grammar import is_domain


def parse_subject(text: str) -> str | None:
    """Return an address, a domain or "@domain" as suppressions keep it; None when it is none."""
    written = text.strip()
    form = canonical(written if "@" in written else f"@{written}")
    if form is None:
        return None
    local_part, _, domain = form.rpartition("@")
    readable = form.isprintable() and " " not in local_part
    return form if readable and is_domain(domain) else None


def subjects_of(address: str) -> tuple[str, ...]:
    """Return under which subjects a recipient can be suppressed: its own, its domain's."""
    form = canonical(address)
    return () if form is None else (form, form[form.rindex("@") :])


def is_stream_name(text: str) -> bool:
    """Tell whether a stream may be called so: 1 to 64 letters, digits, "-", "_" or "."."""
    return 0 < len(text) <= 64 and text.isascii() and all(c.isalnum() or c in "-_." for c in text)
