"""Turns modules into C libraries with mypyc: compile_rooms.py OUT MODULE... (`compile_hook.py` calls it).

OUT: the directory for the libraries. MODULE: paths below the working directory, in which the packages begin.
"""

import os
import sys
import tempfile
from collections.abc import Sequence

from mypyc.build import mypycify
from setuptools import setup


def compile_rooms(out: str, modules: Sequence[str]) -> None:
    """Write a library for each module, and one that holds what all of them are made of."""
    # Types are checked by `make types`; here some extras may not be installed, and none has to be.
    options = ["--config-file=", "--ignore-missing-imports"]
    with tempfile.TemporaryDirectory() as work:
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


if __name__ == "__main__":
    compile_rooms(sys.argv[1], sys.argv[2:])
