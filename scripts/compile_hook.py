"""Compiles the rooms that every message passes while a wheel is built, where GATEPOST_COMPILE=1 says so.

mypyc turns modules that mypy understands into C (ADR 28). Which: `include` and `exclude` of the hook's
table in pyproject.toml. Needs mypy, setuptools and a C compiler; without the variable nothing is compiled
and nothing of this is needed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Set to 1 by who wants it.
WISH = "GATEPOST_COMPILE"
_SOURCES = "src"


class CompileHook(BuildHookInterface[Any]):
    """What hatchling calls before it packs a wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Name what compiling needs, for builds in an environment of their own."""
        return ["mypy>=1.19", "setuptools>=75"] if _is_wished() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the libraries packed beside their sources."""
        if version == "editable" or not _is_wished():
            return
        root = Path(self.root)
        out = Path(tempfile.mkdtemp(prefix="gatepost-compiled-"))
        modules = chosen(root, self.config["include"], self.config["exclude"])
        _compile(root, out, modules)
        for library in sorted(out.rglob("*.so")):
            build_data["force_include"][str(library)] = str(library.relative_to(out))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def chosen(root: Path, include: Iterable[str], exclude: Iterable[str]) -> list[str]:
    """Return the modules to compile, as paths below src/: what `include` matches and `exclude` does not."""
    sources = root / _SOURCES
    wanted = {path for pattern in include for path in sources.glob(pattern)}
    unwanted = {path for pattern in exclude for path in sources.glob(pattern)}
    return sorted(str(path.relative_to(sources)) for path in wanted - unwanted)


def _is_wished() -> bool:
    return os.environ.get(WISH) == "1"


def _compile(root: Path, out: Path, modules: Sequence[str]) -> None:
    # A process of its own: mypyc wants to stand where the packages begin.
    script = Path(__file__).with_name("compile_rooms.py")
    command = [sys.executable, str(script), str(out), *modules]
    done = subprocess.run(command, cwd=root / _SOURCES, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        told = [line for line in lines if ": warning: " not in line][-40:]
        told.append(f"compiling failed; without {WISH}=1 the wheel is plain Python")
        sys.exit("\n".join(told))
