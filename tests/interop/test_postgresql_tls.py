"""TLS to a database on another machine: a real server, real certificates; names that lead to loopback
(`hostaddr` beside `host`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatepost.model.settings import ListenerSettings, Role, Settings, TlsSettings
from gatepost.operate.check_finding import Finding, Grade
from gatepost.operate.check_postgresql import postgresql_findings
from tests.support.node import CAPTURE_ALL, Node, wait_until
from tests.support.postgresql import PostgresServer, programs_with_tls

pytestmark = pytest.mark.interop("postgresql")

NAME = "db.test"
ROLE = "gatepost"
PASSWORD = "s3cret-of-the-database"
RULES = """\
local all all trust
host postgres postgres 127.0.0.1/32 trust
hostssl shown,served {role} 127.0.0.1/32 cert
hostssl all {role} 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the test's own."""

    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def issue(self, directory: Path, stem: str, name: str) -> None:
        """Write STEM.pem and STEM.key below a directory, for a host or a role."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(self.name, name, key, self.key)
        write(directory / f"{stem}.pem", made)
        octets = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (directory / f"{stem}.key").write_bytes(octets)
        (directory / f"{stem}.key").chmod(0o600)


def authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(name, key, _certificate(name, name, key, key, is_ca=True))


def _certificate(
    issuer: str,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool = False,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signing, hashes.SHA256())
    )


def write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@dataclass(frozen=True, slots=True)
class World:
    """A server with TLS, and one that speaks none; the files that clients of the first one have."""

    server: PostgresServer
    plain: PostgresServer
    files: Path

    def url(
        self, more: str, *, database: str = "relay", host: str = NAME, plain: bool = False
    ) -> str:
        port = (self.plain if plain else self.server).port
        more = more.replace("FILES", str(self.files))
        return f"postgresql://{ROLE}@{host}:{port}/{database}?hostaddr=127.0.0.1{more}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    programs = programs_with_tls()
    files = tmp_path_factory.mktemp("tls")
    ours, other = authority("ours"), authority("other")
    write(files / "ca.pem", ours.certificate)
    write(files / "other-ca.pem", other.certificate)
    ours.issue(files, "role", ROLE)
    ours.issue(files, "stranger", "stranger")
    ours.issue(files, "open", ROLE)
    (files / "open.key").chmod(0o644)
    other.issue(files, "forged", ROLE)
    server, plain = PostgresServer(programs=programs), PostgresServer(programs=programs)
    try:
        server.start()
        ours.issue(server.data, "server", NAME)
        write(server.data / "clients.pem", ours.certificate)
        server.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        for name in ("relay", "shown", "served"):
            server.execute(f"CREATE DATABASE {name} OWNER {ROLE}")
        (server.data / "pg_hba.conf").write_text(RULES.format(role=ROLE))
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write(
                "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n"
                "ssl_ca_file = 'clients.pem'\n"
            )
        server.stop()
        server.start()
        plain.start()
        plain.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        plain.execute(f"CREATE DATABASE relay OWNER {ROLE}")
        yield World(server, plain, files)
    finally:
        server.remove()
        plain.remove()


@pytest.fixture
def password(world: World) -> Path:
    path = world.files / "password"
    path.write_text(PASSWORD)
    return path


CERTIFICATE = "&sslcert=FILES/{0}.pem&sslkey=FILES/{0}.key&sslrootcert=FILES/ca.pem"
OWN_CA = "&sslrootcert=FILES/ca.pem"


def findings(url: str, password: Path) -> list[Finding]:
    settings = Settings(
        hostname="relay.test",
        store=url,
        store_password_file=password,
        tls=TlsSettings(certificate=password, private_key=password),
        listeners=(ListenerSettings(address="127.0.0.1:0", role=Role.SUBMISSION),),
    )
    return list(postgresql_findings(settings))


@pytest.mark.parametrize(
    ("more", "database"),
    [
        (OWN_CA, "relay"),
        (f"&sslmode=verify-full{OWN_CA}", "relay"),
        (f"&sslmode=verify-ca{OWN_CA}", "relay"),
        ("&sslmode=require", "relay"),
        (CERTIFICATE.format("role"), "relay"),
        (CERTIFICATE.format("role"), "shown"),
    ],
)
def test_a_server_of_ones_own_authority(
    world: World, password: Path, more: str, database: str
) -> None:
    found, *others = findings(world.url(more, database=database), password)
    assert (found.grade, others) == (Grade.FINE, [])
    assert PASSWORD not in found.what + found.subject


REFUSED = [
    ("certificate verify failed", "name the CA", ""),
    ("certificate verify failed", "name the CA", "&sslrootcert=FILES/other-ca.pem"),
    ('none.pem" does not exist', "name its CA", "&sslrootcert=FILES/none.pem"),
    ("has group or world access", "chmod 600", CERTIFICATE.format("open")),
    ("no encryption", "wants TLS", "&sslmode=disable"),
    ("does not match host name", "as the database's certificate has it", "WRONG HOST"),
    ("does not support SSL", "turn on ssl there", "PLAIN"),
    ("valid client certificate", "?sslcert=FILE", "CERTIFICATE"),
    ("certificate authentication failed", "the role's name", "STRANGER"),
    ("unknown ca", "ssl_ca_file", "FORGED"),
    ("password authentication failed", "store_password_file", "PASSWORD"),
    ('database "none" does not exist', "CREATE DATABASE", "DATABASE"),
]


@pytest.mark.parametrize(("what", "mend", "more"), REFUSED)
def test_what_is_wrong_is_said(
    world: World, password: Path, more: str, what: str, mend: str
) -> None:
    url = {
        "WRONG HOST": world.url(OWN_CA, host="other.test"),
        "PLAIN": world.url(f"&sslmode=require{OWN_CA}", plain=True),
        "CERTIFICATE": world.url(OWN_CA, database="shown"),
        "STRANGER": world.url(CERTIFICATE.format("stranger"), database="shown"),
        "FORGED": world.url(CERTIFICATE.format("forged"), database="shown"),
        "PASSWORD": world.url(OWN_CA),
        "DATABASE": world.url(OWN_CA, database="none"),
    }.get(more, world.url(more))
    if more == "PASSWORD":
        password.write_text(f"not {PASSWORD}")
    (found,) = findings(url, password)
    assert found.grade is Grade.FAULT
    assert what in found.what
    assert mend in found.mend
    assert "waits" not in found.mend
    assert PASSWORD not in f"{found}"


def test_a_node_serves_over_tls_with_a_client_certificate(
    world: World, password: Path, tmp_path: Path
) -> None:
    node = Node(tmp_path / "node", CAPTURE_ALL)
    node.run("init", str(node.directory))

    def point(url: str) -> None:
        node.top = f'store = "{url}"\nstore_password_file = "{password}"\n'
        node.configure(CAPTURE_ALL)

    point(world.url(CERTIFICATE.format("role"), database="served", host="other.test"))
    done = node.run("serve", check=False)
    assert done.returncode == 2  # it does not pass by itself, so it is told at once
    assert "does not match host name" in done.stderr
    assert PASSWORD not in done.stderr
    point(world.url(CERTIFICATE.format("role"), database="served"))
    node.start()
    ways = (
        "SELECT DISTINCT s.ssl, s.client_dn FROM pg_stat_ssl AS s JOIN pg_stat_activity USING (pid)"
        " WHERE datname = 'served'"
    )
    shown = [(True, f"/CN={ROLE}")]
    wait_until(lambda: world.server.execute(ways) == shown, "connections of the node's")
    assert node.stop() == 0
    assert PASSWORD not in node.log.read_text()
