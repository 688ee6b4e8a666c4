"""Programs of others that interop tests run: found, or named with what installs them."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

#: What brings a program that is not there, on Debian.
INSTALL: Final[Mapping[str, str]] = {
    "cc": "apt-get install build-essential",
    "curl": "apt-get install curl",
    "dovecot": "apt-get install dovecot-core",
    "fsck.ext4": "apt-get install e2fsprogs",
    "go": "apt-get install golang-go",
    "gsasl": "apt-get install gsasl",
    "haproxy": "apt-get install haproxy",
    "ip": "apt-get install iproute2",
    "java": "apt-get install default-jdk-headless",
    "javac": "apt-get install default-jdk-headless",
    "knotd": "apt-get install knot",
    "ldapmodify": "apt-get install ldap-utils",
    "ldapwhoami": "apt-get install ldap-utils",
    "mailauth": "npm install mailauth (and NODE_PATH naming its node_modules)",
    "mkfs.ext4": "apt-get install e2fsprogs",
    "msmtp": "apt-get install msmtp",
    "node": "apt-get install nodejs npm",
    "nodemailer": "npm install nodemailer (and NODE_PATH naming its node_modules)",
    "nsd": "apt-get install nsd",
    "opendkim": "apt-get install opendkim",
    "opendkim-testmsg": "apt-get install opendkim-tools",
    "openssl": "apt-get install openssl",
    "perl": "apt-get install perl",
    "pgbouncer": "apt-get install pgbouncer",
    "php": "apt-get install php-cli libphp-phpmailer",
    "postfix": "apt-get install postfix (No configuration)",
    "rspamd": "apt-get install rspamd",
    "ruby": "apt-get install ruby",
    "s-nail": "apt-get install s-nail",
    "systemd-analyze": "apt-get install systemd",
    "slapd": "apt-get install slapd",
    "swaks": "apt-get install swaks libnet-ssleay-perl libauthen-sasl-perl",
}
_SYSTEM: Final = "/usr/sbin:/sbin"


def missing(reason: str) -> None:
    """Skip with `reason`; where every program must be there (in CI), fail with it."""
    if os.environ.get("INTEROP_REQUIRED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def no_rights(reason: str) -> None:
    """Skip with `reason`, also in CI: a machine of others may not let its tests mount or route."""
    pytest.skip(reason)


def need(name: str) -> str:
    """Return the path of a program, or skip with a line that says what to install."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM}")
    if found is None:
        missing(f"{name} is not installed: {INSTALL[name]}")
    return str(found)


def need_node_module(name: str) -> str:
    """Return the path of node, when it finds this module."""
    node = need("node")
    done = run([node, "-e", f"require({name!r})"])
    if done.returncode:
        missing(f"{name} is not installed: {INSTALL[name]}")
    return node


def need_file(path: str, package: str) -> str:
    """Return the path of a library's file, or skip."""
    if not Path(path).exists():
        missing(f"{path} is not there: apt-get install {package}")
    return path


def need_perl_modules(*names: str) -> str:
    """Return the path of perl, when it finds these modules."""
    program = need("perl")
    done = run([program, *(f"-M{name}" for name in names), "-e", "1"])
    if done.returncode:
        packages = "libauthen-sasl-perl libdigest-hmac-perl libio-socket-ssl-perl"
        missing(f"perl lacks {', '.join(names)}: apt-get install {packages}")
    return program


def need_root() -> None:
    """Skip where this program can only be run by root."""
    if os.geteuid() != 0:
        missing("only root can start it: run the interop tests as root")


def run(
    command: list[str], *, stdin: bytes = b"", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of others to its end; both outputs come as one text."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=200,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode("utf-8", "replace"), ""
    )
