"""A real slapd of a test's own: a throw-away directory on loopback, with TLS, that can go away."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from gatepost.net.certificate import make_self_signed
from tests.support.node import greets, wait_until
from tests.support.ports import free_ports
from tests.support.programs import need

BASE = "dc=corp,dc=test"
PEOPLE = f"ou=people,{BASE}"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "reads a lot"
PASSWORD = "correct horse"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
sizelimit 500
# A bind without a password succeeds, as anonymous: RFC 4513 5.1.2.
allow bind_anon_cred bind_anon_dn
database mdb
suffix "{base}"
directory {directory}/db
rootdn "cn=root,{base}"
rootpw root
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by self read by anonymous auth by * none
"""

TREE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: corp
dc: corp

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}
"""


def person(uid: str, *mails: str, password: str = PASSWORD, **more: str) -> str:
    """Return one account as LDIF; the first address is what it logs in with."""
    lines = [
        f"dn: uid={uid},{PEOPLE}",
        "objectClass: inetOrgPerson",
        f"uid: {uid}",
        f"cn: {uid}",
        f"sn: {uid}",
        f"userPassword: {password}",
        *(f"mail: {mail}" for mail in mails),
        *(f"{key}: {value}" for key, value in more.items()),
    ]
    return "\n".join(lines) + "\n"


class Slapd:
    """Serves `people` over ldap:// (with STARTTLS) and ldaps://; `start` and `stop` come again."""

    def __init__(self, directory: Path, *people: str) -> None:
        self._program = need("slapd")
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        chain, key = make_self_signed(["localhost"])
        (directory / "cert.pem").write_bytes(chain)
        (directory / "key.pem").write_bytes(key)
        (directory / "db").mkdir()
        self._config = directory / "slapd.conf"
        self._config.write_text(CONFIG.format(directory=directory, base=BASE, reader=READER))
        tree = directory / "tree.ldif"
        tree.write_text("\n".join((TREE, *people)))
        adder = shutil.which("slapadd", path="/usr/sbin:/sbin:/usr/local/sbin") or "slapadd"
        subprocess.run(
            [adder, "-f", str(self._config), "-l", str(tree)],
            check=True,
            capture_output=True,
            timeout=30,
        )

    @property
    def ca_file(self) -> Path:
        return self.directory / "cert.pem"

    @property
    def starttls(self) -> str:
        return f"ldap://localhost:{self.port}"

    @property
    def implicit(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"

    def start(self) -> None:
        log = (self.directory / "slapd.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    self._program, "-d", "0", "-f", str(self._config),
                    "-h", f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        for port in (self.port, self.tls_port):
            wait_until(lambda port=port: greets(port), "slapd")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def modify(self, ldif: str) -> None:
        """Change entries as somebody else would, over the wire (while it runs)."""
        subprocess.run(
            [
                need("ldapmodify"), "-x", "-H", f"ldap://127.0.0.1:{self.port}/",
                "-D", f"cn=root,{BASE}", "-w", "root",
            ],
            input=ldif.encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )  # fmt: skip

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return keyword arguments of LdapSettings: search by mail as the reader, over STARTTLS."""
        return {
            "servers": (self.starttls,),
            "starttls": True,
            "timeout": 30.0,
            "ca_file": self.ca_file,
        } | more
