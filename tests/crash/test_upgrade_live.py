"""A release takes over from the one before, under load: nobody is refused, nothing is lost or comes twice.

The oldest one is the present program. Newer ones are the same with more versions of the schema, which
`sitecustomize` adds; a link leads to one of them, as `/usr/local/bin/gatepost` does.
With RELEASES=OLD:NEW (folders with a `gatepost` package each) real ones are tried instead.
"""

import os
from pathlib import Path

import apsw
import pytest

from tests.crash.conftest import Rig
from tests.crash.test_orderly_ends import DRAIN, nothing_twice
from tests.support.node import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

#: A newer program, after these versions.
PROGRAM = """
from gatepost.store import sqlite_upgrade
from gatepost.store.schema import Version

sqlite_upgrade.VERSIONS += ({},)
"""
#: It looks more often than every 30 s whether there is something left to do.
TIDY_OFTEN = """
import sys

if "serve" in sys.orig_argv:
    from gatepost.node import worker

    worker._TIDY = 2.0
"""
ADDS = 'Version("CREATE TABLE more (name TEXT PRIMARY KEY) STRICT")'
#: It fills in something, in portions, when the older one has gone: after that there is no way back.
FILLS = """Version(
    "ALTER TABLE account ADD COLUMN sorted TEXT",
    post=(
        "UPDATE account SET sorted = name WHERE name IN"
        " (SELECT name FROM account WHERE sorted IS NULL LIMIT 500)",
    ),
)"""


def releases(directory: Path) -> list[Path]:
    """Return the folders of releases, the oldest first."""
    if named := os.environ.get("RELEASES"):
        return [Path(each) for each in named.split(":")]
    made = []
    for number, versions in enumerate(((), (ADDS,), (ADDS, FILLS))):
        folder = directory / f"release-{number}"
        folder.mkdir()
        if versions:
            (folder / "sitecustomize.py").write_text(
                PROGRAM.format(", ".join(versions)) + TIDY_OFTEN
            )
        made.append(folder)
    return made


def switch(link: Path, target: Path) -> None:
    """Let the program on the disk be this one from now on, in one step."""
    fresh = link.with_suffix(".fresh")
    fresh.symlink_to(target)
    fresh.replace(link)


def marks(rig: Rig) -> dict[str, int]:
    with apsw.Connection(str(rig.node.data_dir / "gatepost.db")) as connection:
        found = dict(connection.execute("SELECT name, value FROM schema_mark"))
        return found | {"version": connection.pragma("user_version")}


def take_over(rig: Rig) -> None:
    former = rig.node.process
    assert former is not None
    rig.load.wait_for(100)
    rig.hand_over()
    rig.load.wait_for(50)
    wait_until(lambda: former.poll() is not None, "the former's end", patience=DRAIN)
    rig.load.wait_for(100)


def test_releases_take_over_from_each_other_under_load(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # Real ones begin with a database of their own, without the key of the API's clients.
    rig: Rig = request.getfixturevalue("rig" if "RELEASES" in os.environ else "mixed")
    node = rig.node
    programs = releases(tmp_path)
    link = tmp_path / "program"
    node.stop()
    if "RELEASES" in os.environ:  # an older one cannot read what the present one has made
        for file in node.data_dir.glob("gatepost.db*"):
            file.unlink()
    switch(link, programs[0])
    node.surroundings["PYTHONPATH"] = str(link)
    if "RELEASES" in os.environ:
        node.add_account(node.account, node.password)
    begin = len(node.log.read_text())
    node.start()
    # Before that it may still have to read something of its own program, which the link leads to.
    wait_until(lambda: "all workers serve" in node.log.read_text()[begin:], "all processes")
    versions = [marks(rig)["version"]]
    print(f"\nversion {versions[0]} under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for program in programs[1:]:
        switch(link, program)
        take_over(rig)
        versions.append(marks(rig)["version"])
        print(f"  version {versions[-1]} serves")
        if program is not programs[-1]:  # it only adds: the one before may come back
            switch(link, programs[0])
            take_over(rig)
            assert marks(rig)["version"] == versions[-1]
            print(f"  version {versions[0]} serves again")
            switch(link, program)
            take_over(rig)
    assert versions == sorted(set(versions))
    wait_until(lambda: marks(rig)["tidied"] == versions[-1], "all is done when older ones are gone")
    # What was cleared away cannot be brought back: the older one is refused, and the newer goes on.
    switch(link, programs[0])
    rig.load.wait_for(50)
    refused = node.run("restart", check=False)
    assert refused.returncode == 1
    assert "the former one goes on" in refused.stderr
    switch(link, programs[-1])
    rig.load.wait_for(50)
    found = rig.settle_accounts()
    assert nothing_twice(found)
    assert not found.counts["sessions lost before login"]
