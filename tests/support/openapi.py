"""Requests to an API as its own description has them, and as it does not (RFC 9110, OpenAPI 3.1)."""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

HOSTILE = [
    "", "\0", "a\0@b.test", "\ud800", "x" * 321, "@" + "a." * 100 + "test", "a@[1.2.3.4]", "é@ü.test",
    "\u202e@b.test", "a@b.test\r\nX: y", "1" * 5000, '"a b"@b.test', "@xn--a", "a@xn--é.test", "a@b..test",
    "<a@b.test>", "%", "é", "QQ", "../..", "null", "\ud83d\ude00", "²", "1e999", "-1", "[" * 900,
]  # fmt: skip
ODD = (
    st.sampled_from(HOSTILE)
    | st.text(max_size=20)
    | st.sampled_from([None, 0, 1 << 70, [], {}, True])
)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""


@dataclass(frozen=True)
class Description:
    """An OpenAPI description, and values that an API knows."""

    described: dict[str, Any]
    known: list[str]

    def requests(self) -> dict[str, st.SearchStrategy[Request]]:
        """Return requests by operation."""
        return {
            f"{method.upper()} {path}": self._requests(method.upper(), path, operation)
            for path, methods in self.described["paths"].items()
            for method, operation in methods.items()
        }

    def _requests(self, method: str, path: str, operation: dict[str, Any]) -> Any:
        @st.composite
        def build(draw: st.DrawFn) -> Request:
            filled, query, headers = path, {}, {}
            for each in operation.get("parameters", ()):
                is_given = each["required"] or draw(st.booleans())
                value = draw(self._texts(each["schema"]))
                if each["in"] == "path":
                    filled = filled.replace("{" + each["name"] + "}", value)
                elif is_given and each["in"] == "query":
                    query[each["name"]] = value
                elif is_given and value.isprintable() and value.strip() == value:
                    headers[each["name"]] = value.encode("latin-1", "replace").decode("latin-1")
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            raw = b"" if schema is None else draw(self._bodies(schema))
            asked = urlencode(query, errors="surrogatepass")
            spelt = quote(filled, errors="replace")
            return Request(method, spelt, asked, headers, raw)

        return build()

    def _bodies(self, schema: dict[str, Any]) -> st.SearchStrategy[bytes]:
        spelt = self._values(schema).map(lambda value: json.dumps(value).encode())
        broken = st.sampled_from(
            [
                b"",
                b"{",
                b"[" * 60_000,
                b"nul",
                b"\xff\xfe{\x00}\x00",
                b'{"a":' + b"1" * 5000 + b"}",
                b"NaN",
            ]
        )
        cut = st.tuples(spelt, st.integers(0, 30)).map(lambda pair: pair[0][: -pair[1]])
        return spelt | spelt | spelt | broken | cut

    def _texts(self, schema: dict[str, Any]) -> st.SearchStrategy[str]:
        return self._values(schema).map(lambda v: v if isinstance(v, str) else json.dumps(v))

    def _values(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Return values as a schema has them, mostly, and others."""
        fitting = self._fitting(schema)
        return fitting | fitting | fitting | ODD

    def _fitting(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._fitting(self.described["components"]["schemas"][name])
        if "anyOf" in schema:
            return st.one_of(map(self._fitting, schema["anyOf"]))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema["type"]:
            case "object":
                return self._objects(schema)
            case "array":
                return st.lists(self._values(schema["items"]), min_size=1, max_size=4)
            case "integer":
                return st.integers(schema.get("minimum"), schema.get("maximum"))
            case "boolean":
                return st.booleans()
            case "null":
                return st.none()
        return self._strings(schema)

    def _objects(self, schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        """Return objects in which one member, or none, is odd."""
        must = set(schema.get("required", ()))
        every = {name: self._fitting(each) for name, each in schema["properties"].items()}
        fitting = st.fixed_dictionaries(
            {name: each for name, each in every.items() if name in must},
            optional={name: each for name, each in every.items() if name not in must},
        )
        odd = st.tuples(fitting, st.sampled_from([*every, "unknown"]), ODD)
        spoilt = odd.map(lambda drawn: drawn[0] | ({drawn[1]: drawn[2]}))
        return fitting | spoilt | spoilt

    def _strings(self, schema: dict[str, Any]) -> st.SearchStrategy[str]:
        known = st.sampled_from(self.known)
        encoded = st.binary(max_size=40).map(lambda octets: base64.b64encode(octets).decode())
        free = st.text(max_size=30) | encoded
        if pattern := schema.get("pattern"):
            fitting = [text for text in self.known if re.search(pattern, text)]
            free = st.from_regex(pattern, fullmatch=True)
            known = st.sampled_from(fitting) if fitting else free
        return known | known | free
