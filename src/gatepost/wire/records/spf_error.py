"""Why an SPF record or evaluation ends early (RFC 7208 §2.6.6, §2.6.7)."""


class SpfSyntaxError(ValueError):
    """A text is no SPF record; says why."""


class SpfPermanentError(Exception):
    """An evaluation ends with permerror; says why."""


class SpfTemporaryError(Exception):
    """An evaluation ends with temperror; says why."""
