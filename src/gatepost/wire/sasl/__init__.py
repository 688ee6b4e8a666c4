"""SASL (RFC 4422): exchanges as generators, one file per mechanism."""
