"""What the documents say about the code is there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/gatepost"
WRITTEN = [p for p in sorted((ROOT / "docs").rglob("*.md")) if p.parent.name != "reference"]
DOCUMENTS = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *WRITTEN]
#: `reception/accept.py`, or `reception/accept.py`: `accept`
MENTION = re.compile(
    r"`((?:[a-z_]+/)+[a-z0-9_]+\.py|[a-z_]+/(?:[a-z_]+/)+)`(?:: `([A-Za-z_.]+)`)?", re.DOTALL
)


def defined(path: Path) -> set[str]:
    """Names of a module, methods as Class.method."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{n.name}" for n in node.body if hasattr(n, "name")}
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_files_and_functions_that_a_document_names_exist(document: Path) -> None:
    for name, function in MENTION.findall(document.read_text()):
        path = SOURCE / name
        if not path.exists():
            assert (ROOT / name).exists(), f"{name} is not there"
            continue
        if function:
            assert function in defined(path), f"{name} has no {function}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}" not in navigation] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs/adr/0002-dependencies.md").read_text()
    names = [re.split(r"[>=;\[ ]", d)[0] for d in project["dependencies"]]
    assert [
        name for name in names if not re.search(rf"^\|.*\b{name}\b", reasons, re.MULTILINE)
    ] == []
