"""What is compiled where GATEPOST_COMPILE=1 (ADR 28), and that `make test-compiled` tests just that."""

import os
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from scripts.compile_hook import chosen

ROOT = Path(__file__).resolve().parents[2]


def modules_to_compile() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    for pattern in (*hook["include"], *hook["exclude"]):
        assert list((ROOT / "src").glob(pattern)), f"{pattern} matches nothing"
    return chosen(ROOT, hook["include"], hook["exclude"])


def test_every_pattern_finds_something_and_no_package_is_compiled_by_its_init() -> None:
    modules = modules_to_compile()
    assert "gatepost/wire/smtp/server.py" in modules
    assert not [module for module in modules if module.endswith("__init__.py")]


@pytest.mark.skipif(os.environ.get("COMPILED") != "1", reason="for make test-compiled")
def test_the_compiled_ones_are_what_is_tested() -> None:
    for module in modules_to_compile():
        found = import_module(module.removesuffix(".py").replace("/", ".")).__file__ or ""
        assert found.endswith(".so"), found
