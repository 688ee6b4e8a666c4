"""Rspamd on loopback, asked by HTTP what it thinks of a message: DKIM, SPF and DMARC only."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node import HOST, greets, wait_until
from tests.support.ports import free_ports
from tests.support.programs import need

_CONFIGURATION = """
options {{
    dns {{ nameserver = ["{host}:{dns}"]; timeout = 5s; retransmits = 3; }}
    pidfile = "{directory}/rspamd.pid";
    tempdir = "{directory}";
    rundir = "{directory}";
    dbdir = "{directory}";
    hs_cache_dir = "{directory}";
    control_socket = "{directory}/control.sock mode=0600";
    filters = "dkim";
    local_addrs = [];
    explicit_modules = ["spf", "dkim", "dmarc"];
    check_all_filters = true;
    disable_hyperscan = true;
    url_tld = "{directory}/suffixes";
}}
logging {{ type = "file"; filename = "{directory}/rspamd.log"; level = "info"; }}
worker "normal" {{ bind_socket = "{host}:{port}"; count = 1; }}
modules {{ path = "{directory}/plugins/"; }}
actions {{ reject = 100; }}
dkim {{ check_local = true; check_authed = true; trusted_only = false; }}
spf {{ check_local = true; check_authed = true; }}
dmarc {{ check_local = true; check_authed = true; actions {{ }} }}
"""


@dataclass(frozen=True, slots=True)
class Rspamd:
    """A running one."""

    port: int

    def symbols(self, content: bytes, **headers: str) -> dict[str, Any]:
        """Return what it found in a message; `headers` are those of its protocol: Ip, Helo, From,
        Rcpt.
        """
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/checkv2", data=content, headers=headers
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)["symbols"]
        assert isinstance(found, dict)
        return found


@contextmanager
def rspamd(directory: Path, dns: int) -> Iterator[Rspamd]:
    """Run it with a nameserver at this port of loopback."""
    (port,) = free_ports(1)
    # Only what is asked here: to compile its rules and all public suffixes takes a minute.
    (directory / "suffixes").write_text("com\norg\nexample\n")
    plugins = directory / "plugins"
    plugins.mkdir()
    for name in ("spf.lua", "dmarc.lua"):
        (plugins / name).symlink_to(f"/usr/share/rspamd/plugins/{name}")
    config = directory / "rspamd.conf"
    config.write_text(_CONFIGURATION.format(host=HOST, dns=dns, port=port, directory=directory))
    command = [need("rspamd"), "-f", "-i", "-c", str(config)]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: greets(port), "rspamd listens", patience=120)
            yield Rspamd(port)
        except AssertionError as error:
            for log in ("output", "rspamd.log"):
                if (directory / log).exists():
                    error.add_note((directory / log).read_text(errors="replace")[-3000:])
            raise
        finally:
            process.terminate()
            process.wait(30)
