"""Turns modules into C libraries with mypyc: compile_rooms.py OUT MODULE... (`compile_hook.py` calls it).

OUT: the directory for the libraries. MODULE: paths below the working directory, in which the packages begin.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup
from written_init import write_inits


def compile_rooms(out: str, modules: Sequence[str]) -> None:
    """Write a library for each module, and one that holds what all of them are made of."""
    # Types are checked by `make types`; here some extras may not be installed, and none has to be.
    options = ["--config-file=", "--ignore-missing-imports"]
    with tempfile.TemporaryDirectory() as work, contextlib.chdir(_copy(Path(work), modules)):
        setup(
            name="gatepost",
            packages=[],
            ext_modules=mypycify(
                [*options, "--cache-dir", f"{work}/cache", *modules],
                opt_level="2",
                multi_file=True,
                group_name="gatepost",
                target_dir=work,
            ),
            script_args=[
                "build_ext",
                *("--build-lib", out),
                *("--build-temp", work),
                *("--parallel", str(os.cpu_count() or 1)),
            ],
        )


def _copy(work: Path, modules: Sequence[str]) -> Path:
    """Copy what stands here, with what mypyc makes more of in these modules; return where to."""
    sources = work / "sources"
    shutil.copytree(".", sources, ignore=shutil.ignore_patterns("__pycache__"))
    for module in modules:
        path = sources / module
        path.write_text(write_inits(path.read_text("utf-8")), "utf-8")
    return sources


if __name__ == "__main__":
    compile_rooms(sys.argv[1], sys.argv[2:])
