"""Authoritative DNS servers of others on loopback, each in a directory of the test's: NSD and Knot."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from tests.support.node import HOST, wait_until
from tests.support.ports import free_ports
from tests.support.programs import need

TSIG_NAME = "gatepost"
TSIG_SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="

_NSD = """
server:
    ip-address: {host}@{port}
    username: ""
    chroot: ""
    zonesdir: "{directory}"
    database: ""
    pidfile: "{directory}/nsd.pid"
    xfrdfile: "{directory}/xfrd.state"
    zonelistfile: "{directory}/zone.list"
    cookie-secret-file: "{directory}/cookies"
    xfrdir: "{directory}"
    server-count: 1
remote-control:
    control-enable: no
"""
_KNOT = """
server:
    listen: {host}@{port}
    rundir: {directory}
    user: {user}
database:
    storage: {directory}/db
log:
  - target: stderr
    any: warning
key:
  - id: {name}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: gatepost
    address: {host}
    key: {name}
    action: [update, transfer]
template:
  - id: default
    storage: {directory}
    semantic-checks: on
zone:
  - domain: {zone}
    file: zone
    acl: gatepost
"""
ZONE = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""


@dataclass(frozen=True, slots=True)
class Nsd:
    """A running NSD, on this port of 127.0.0.1."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    def publish(self, zone: str, lines: str) -> None:
        """Write further lines into a zone, and let it be read."""
        file = self.directory / f"{zone}.zone"
        text = file.read_text()
        number = int(text.partition("hostmaster ")[2].partition(" ")[0])
        text = text.replace(f"hostmaster {number} ", f"hostmaster {number + 1} ")
        file.write_text(f"{text}\n{lines}\n")
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def nsd(directory: Path, zones: dict[str, str]) -> Iterator[Nsd]:
    """Serve zones (name: records) with NSD."""
    (port,) = free_ports(1)
    text = _NSD.format(host=HOST, port=port, directory=directory)
    for zone, records in zones.items():
        (directory / f"{zone}.zone").write_text(ZONE.format(zone=zone) + records)
        text += f'zone:\n    name: "{zone}."\n    zonefile: "{zone}.zone"\n'
    config = directory / "nsd.conf"
    config.write_text(text)
    command = [need("nsd"), "-d", "-c", str(config)]
    with _running(command, directory / "nsd.log") as process:
        wait_until(lambda: all(_answers(port, zone) for zone in zones), "nsd answers")
        yield Nsd(port, directory, process)


@contextmanager
def knot(directory: Path, zone: str, records: str = "") -> Iterator[int]:
    """Serve one zone with Knot, which takes updates signed with the key; yields the port."""
    (port,) = free_ports(1)
    (directory / "db").mkdir()
    (directory / "zone").write_text(ZONE.format(zone=zone) + records)
    config = directory / "knot.conf"
    config.write_text(
        _KNOT.format(
            host=HOST,
            port=port,
            directory=directory,
            user=f"{directory.owner()}:{directory.group()}",
            zone=zone,
            name=TSIG_NAME,
            secret=TSIG_SECRET,
        )
    )
    with _running([need("knotd"), "-c", str(config)], directory / "knot.log"):
        wait_until(lambda: _answers(port, zone), "knot answers")
        yield port


def key_file(directory: Path, secret: str = TSIG_SECRET) -> Path:
    """Write the key as tsig-keygen does, for its owner alone."""
    file = directory / "tsig.key"
    file.touch(0o600)
    file.write_text(f'key "{TSIG_NAME}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
    return file


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process
        except AssertionError as error:
            error.add_note(log.read_text(errors="replace")[-2000:])
            raise
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int, zone: str) -> bool:
    query = dns.message.make_query(f"{zone}.", "SOA")
    try:
        reply = dns.query.udp(query, HOST, port=port, timeout=1)
    except (OSError, dns.exception.DNSException):
        return False
    return reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)
