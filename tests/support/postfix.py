"""A Postfix of the test's own, as next hop: own configuration, queue, log and mailbox.

It takes mail for one domain on a port of loopback and delivers it to a maildir, changing nothing:
what lies there is the fields that Postfix put in front, and then what it was sent.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.node import HOST, greets, wait_until
from tests.support.ports import free_ports
from tests.support.programs import need

MAIN = """\
compatibility_level = 3.6
myhostname = next.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = {host}
inet_protocols = ipv4
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = {root}
alias_maps =
# Take everything, change nothing.
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
message_size_limit = 0
local_header_rewrite_clients =
smtpd_relay_restrictions = reject_unauth_destination
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix."""

    root: Path
    port: int
    domain: str

    def received(self) -> list[bytes]:
        """Return what lies in the mailbox, oldest first, with CRLF as it went over the wire."""
        files = sorted((self.root / "mail/inbox/new").glob("*"), key=lambda f: f.stat().st_mtime_ns)
        return [file.read_bytes().replace(b"\n", b"\r\n") for file in files]

    @property
    def log(self) -> str:
        """What Postfix says it did."""
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def running_postfix(domain: str = "next.example", *, more: str = "") -> Iterator[Postfix]:
    """Start Postfix, yield it, stop it by its own command. Needs root, as Postfix does.

    `more` goes behind its main.cf.
    """
    command = need("postfix")
    user = pwd.getpwnam("postfix")
    # Not below pytest's directory, which only its owner may enter: Postfix has users of its own.
    root = Path(tempfile.mkdtemp(prefix="gatepost-postfix-"))
    root.chmod(0o755)
    (port,) = free_ports(1)
    try:
        _configure(root, port, domain, user)
        with (root / "etc/main.cf").open("a") as settings:
            settings.write(more)
        _run(command, "-c", str(root / "etc"), "start", log=root / "log")
        try:
            wait_until(lambda: greets(port), "Postfix's greeting")
            yield Postfix(root, port, domain)
        finally:
            _run(command, "-c", str(root / "etc"), "stop", log=root / "log")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _configure(root: Path, port: int, domain: str, user: pwd.struct_passwd) -> None:
    for name in ("etc", "queue", "data", "mail"):
        (root / name).mkdir()
        (root / name).chmod(0o755)  # whatever mask another test has left
    for name in ("data", "mail"):
        os.chown(root / name, user.pw_uid, user.pw_gid)
    main = MAIN.format(root=root, domain=domain, host=HOST, uid=user.pw_uid, gid=user.pw_gid)
    (root / "etc/main.cf").write_text(main)
    (root / "etc/master.cf").write_text(
        f"{HOST}:{port} inet n - n - - smtpd\n" + _without_port_25(_distributed_master())
    )


def _distributed_master() -> str:
    for directory in ("/usr/share/postfix", "/etc/postfix"):
        for name in ("master.cf.dist", "master.cf.proto"):
            path = Path(directory, name)
            if path.exists():
                return path.read_text()
    raise AssertionError("Postfix came without its master.cf.dist")


def _without_port_25(master: str) -> str:
    """Return the services without the public port, none of them in a chroot (fifth column)."""
    lines = []
    for line in master.splitlines():
        words = line.split()
        if not line[:1].isalpha() or len(words) < 8:
            lines.append(line)
        elif words[:2] != ["smtp", "inet"]:
            words[4] = "n"
            lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def _run(*command: str, log: Path) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, umask=0o022
    )
    if done.returncode:
        words = log.read_text(errors="replace") if log.exists() else ""
        msg = f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}{words}"
        raise AssertionError(msg)
