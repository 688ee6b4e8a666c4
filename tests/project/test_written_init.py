"""The `__init__` that is written out where dataclasses are compiled (scripts/written_init.py)."""

import ast
import inspect
from dataclasses import dataclass, field
from importlib import import_module
from textwrap import dedent
from typing import Any, ClassVar

import pytest

from scripts.written_init import write_inits
from tests.project.test_compiled import ROOT, modules_to_compile


def _made(source: str) -> Any:
    """Return the class `A` that a module makes with what is written into it."""
    written = write_inits(dedent(source))
    assert "def __init__" in written
    names: dict[str, Any] = {"dataclass": dataclass, "field": field, "ClassVar": ClassVar}
    exec(written, names)
    return names["A"]


def test_it_takes_what_the_made_one_takes() -> None:
    made = _made("""
        @dataclass(slots=True)
        class A:
            a: int
            kind: ClassVar[str] = "x"
            b: str = "b"
            c: list[int] = field(default_factory=list)
            d: int = field(default=4, repr=False)
            e: int = field(init=False)

            def __post_init__(self) -> None:
                self.e = self.a + self.d

            def double(self) -> int:
                return 2 * self.e

        def after() -> int:
            return 1
    """)
    first, second = made(1), made(1, "z", [5], d=6)
    assert (first.a, first.b, first.c, first.e, first.double()) == (1, "b", [], 5, 10)
    assert (second.b, second.c, second.e) == ("z", [5], 7)
    assert first.c is not made(1).c
    assert first == made(1)
    assert repr(first) == "A(a=1, b='b', c=[], e=5)"
    assert list(inspect.signature(made).parameters) == ["a", "b", "c", "d"]


def test_a_list_that_is_given_empty_is_kept() -> None:
    made = _made(
        "@dataclass(slots=True)\nclass A:\n    a: list[int] = field(default_factory=list)\n"
    )
    given: list[int] = []
    assert made(given).a is given


@pytest.mark.parametrize(
    "body",
    [
        "class A(B):\n    a: int\n",
        "class A(metaclass=M):\n    a: int\n",
        "class A:\n    a: int\n    def __init__(self) -> None:\n        self.a = 1\n",
        "class A:\n    a: InitVar[int]\n",
        "class A:\n    a: int = field(kw_only=True)\n",
        "class A:\n    a: list[int] | None = field(default_factory=list)\n",
    ],
)
def test_what_it_does_not_know_is_left_alone(body: str) -> None:
    source = f"@dataclass(slots=True)\n{body}"
    assert write_inits(source) == source


def test_what_is_no_dataclass_is_left_alone() -> None:
    source = "@other(slots=True)\nclass A:\n    a: int\n\n\nclass B:\n    a: int\n"
    assert write_inits(source) == source


def _inits(source: str) -> dict[str, ast.FunctionDef]:
    return {
        node.name: each
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.FunctionDef) and each.name == "__init__"
    }


def _parameters(init: ast.FunctionDef) -> list[str]:
    """Return the names of its parameters, with "=" where they may be left out."""
    names = [argument.arg for argument in init.args.args[1:]]
    required = len(names) - len(init.args.defaults)
    return names[:required] + [f"{name}=" for name in names[required:]]


def test_of_all_that_is_compiled_it_takes_what_the_made_one_takes() -> None:
    count = 0
    for module in modules_to_compile():
        imported = import_module(module.removesuffix(".py").replace("/", "."))
        source = (ROOT / "src" / module).read_text()
        written = _inits(write_inits(source))
        for name in written.keys() - _inits(source).keys():
            known = inspect.signature(getattr(imported, name)).parameters.values()
            assert _parameters(written[name]) == [
                each.name if each.default is each.empty else f"{each.name}=" for each in known
            ], f"{module}: {name}"
            count += 1
    assert count > 150
