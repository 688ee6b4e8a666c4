"""`make demo`: a relay on loopback that keeps every message, and one message through it.

Uses the installed `gatepost` command as a person would. State lives in .demo/ and is made anew at
every start; nothing leaves the machine.
"""

import argparse
import fcntl
import json
import os
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".demo"
GATEPOST = Path(sys.executable).parent / "gatepost"
HOST = "127.0.0.1"
ACCOUNT = "app@example.com"
RECIPIENT = "you@example.net"
#: Seconds: generous, for a busy machine; nothing waits for them when all is well.
PATIENCE = 30.0

CONFIGURATION = """\
# The demo's own. `gatepost init` writes one with every option explained.
hostname = "localhost"
data_dir = "state"
workers = 2

[tls]
certificate = "cert.pem"
private_key = "key.pem"

[[listeners]]
address = "{host}:{submission}"
role = "submission"

[[listeners]]
address = "{host}:{submissions}"
role = "submissions"

[[listeners]]
address = "{host}:{mx}"
role = "mx"

# Mail for any domain is kept for looking at; nothing leaves the machine.
[[routes]]
match = ["*"]
via = "capture"
"""

COMMANDS = """\
{title}with swaks{end}
swaks --server {host}:{submission} --tls --auth PLAIN \\
  --auth-user {account} --auth-password {password} \\
  --from {account} --to {recipient}

{title}with curl{end}
printf 'From: {account}\\nTo: {recipient}\\nSubject: From curl\\n\\nHello.\\n' |
  curl --url smtps://{host}:{submissions} --insecure --crlf --user {account}:{password} \\
  --mail-from {account} --mail-rcpt {recipient} --upload-file -

{title}with Python{end}
python3 - <<'END'
import smtplib, ssl
trust = ssl.create_default_context(cafile="{certificate}")
trust.check_hostname = False
with smtplib.SMTP("{host}", {submission}) as server:
    server.starttls(context=trust)
    server.login("{account}", "{password}")
    server.sendmail("{account}", ["{recipient}"],
                    "From: {account}\\r\\nTo: {recipient}\\r\\nSubject: From Python\\r\\n\\r\\nHello.\\r\\n")
END

{title}and look{end}
{gatepost} queue list --captured
{gatepost} queue show ID
{gatepost} trace {recipient}
"""


class DemoError(Exception):
    """The demo cannot go on; its words are for the person who started it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo listens on loopback."""

    submission: int
    submissions: int
    mx: int


class Paint:
    """Colour on a terminal, and nowhere else (NO_COLOR is honoured)."""

    def __init__(self, stream: IO[str]) -> None:
        wanted = stream.isatty() and "NO_COLOR" not in os.environ
        wanted = wanted and os.environ.get("TERM") != "dumb"
        self.bold, self.dim, self.green, self.end = (
            ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if wanted else ("",) * 4
        )

    def step(self, text: str) -> None:
        """Say that something is done."""
        print(f"{self.green}✓{self.end} {text}", flush=True)

    def head(self, text: str) -> None:
        """Say what comes now."""
        print(f"\n{self.bold}{text}{self.end}\n", flush=True)


def gatepost(*arguments: str, stdin: str = "") -> str:
    """Run one `gatepost` command on the demo's configuration and return what it printed."""
    done = subprocess.run(
        [GATEPOST, "-c", STATE / "gatepost.toml", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        msg = f"gatepost {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}"
        raise DemoError(msg)
    return done.stdout


def fresh_state() -> IO[str]:
    """Empty .demo/ and take it for this run; return the lock, to be kept open."""
    STATE.mkdir(exist_ok=True)
    lock = (STATE / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = "another demo runs in this checkout: end it with Ctrl-C in its terminal first"
        raise DemoError(msg) from None
    for entry in STATE.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()
    return lock


def free_port(wanted: int) -> int:
    """Return `wanted` where it is free on loopback, else a port that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    msg = "no free port on loopback"
    raise DemoError(msg)


def set_up(password: str) -> Ports:
    """Do what a person does first: init, configure, add an account."""
    gatepost("init", str(STATE))
    ports = Ports(free_port(2587), free_port(2465), free_port(2525))
    (STATE / "gatepost.toml").write_text(
        CONFIGURATION.format(
            host=HOST, submission=ports.submission, submissions=ports.submissions, mx=ports.mx
        )
    )
    gatepost("account", "add", ACCOUNT, "--password-stdin", stdin=password + "\n")
    return ports


def serve() -> subprocess.Popen[bytes]:
    """Start the server in the background, in a group of its own: Ctrl-C is ours to handle."""
    with (STATE / "serve.log").open("wb") as log:
        return subprocess.Popen(
            [GATEPOST, "-c", STATE / "gatepost.toml", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_for(what: str, server: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    """Wait until `holds()`; end with the server's own words when it has died or time is up."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if server.poll() is not None or time.monotonic() > deadline:
            log = (STATE / "serve.log").read_text(errors="replace").strip()
            msg = f"{what} did not happen. The server says:\n{log[-2000:]}"
            raise DemoError(msg)
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Tell whether a server greets on this port."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False


def send(ports: Ports, password: str) -> str:
    """Send one message as an application would and return its Message-ID."""
    message = EmailMessage()
    message["From"] = f"Demo <{ACCOUNT}>"
    message["To"] = RECIPIENT
    message["Subject"] = "Hello through Gatepost"
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="example.com")
    message.set_content("This message was accepted after a login, stored, and captured.\n")
    # The certificate itself is the trust anchor, so its names do not matter.
    trust = ssl.create_default_context(cafile=str(STATE / "cert.pem"))
    trust.check_hostname = False
    with smtplib.SMTP(HOST, ports.submission, timeout=PATIENCE) as server:
        server.starttls(context=trust)
        server.login(ACCOUNT, password)
        server.send_message(message)
    return str(message["Message-ID"])


def is_captured() -> bool:
    """Tell whether the message has come to rest."""
    return bool(json.loads(gatepost("queue", "list", "--captured", "--json")))


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server as an operator does: SIGTERM, and time to finish."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def show(paint: Paint, ports: Ports, password: str) -> None:
    """Print the credentials and commands to paste."""
    command = f"{GATEPOST.relative_to(ROOT) if GATEPOST.is_relative_to(ROOT) else GATEPOST}"
    paint.head("Try it yourself")
    print(f"account   {ACCOUNT}\npassword  {password}")
    print(f"ports     {ports.submission} STARTTLS, {ports.submissions} TLS, {ports.mx} mx\n")
    print(
        COMMANDS.format(
            title=paint.dim + "# ",
            end=paint.end,
            host=HOST,
            submission=ports.submission,
            submissions=ports.submissions,
            account=ACCOUNT,
            password=password,
            recipient=RECIPIENT,
            certificate=STATE / "cert.pem",
            gatepost=f"{command} -c .demo/gatepost.toml",
        )
    )


def run(*, once: bool) -> None:
    """Play the demo from start to end."""
    paint = Paint(sys.stdout)
    password = secrets.token_hex(8)
    lock = fresh_state()
    paint.head("Gatepost demo: nothing leaves this machine")
    ports = set_up(password)
    paint.step(f"configuration, certificate and account {ACCOUNT} in .demo/")
    server = serve()
    try:
        wait_for("the greeting", server, lambda: answers(ports.submission))
        paint.step(f"serving on {HOST}: {ports.submission}, {ports.submissions}, {ports.mx}")
        message_id = send(ports, password)
        paint.step(f"sent one message through {ports.submission} with STARTTLS and a login")
        wait_for("the capture", server, is_captured)
        paint.head("What became of it (gatepost trace)")
        print(gatepost("trace", message_id).rstrip())
        show(paint, ports, password)
        if not once:
            print(f"{paint.bold}Serving until Ctrl-C.{paint.end}", flush=True)
            status = server.wait()
            msg = f"the server ended by itself with status {status}: see .demo/serve.log"
            raise DemoError(msg)
    finally:
        stop(server)
        lock.close()


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C, so that the server is stopped too."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 0 fine, 1 the demo failed."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the timeline")
    chosen = parser.parse_args(arguments)
    for name in [n for n in os.environ if n.startswith("GATEPOST_")]:
        del os.environ[name]  # settings of another Gatepost are none of the demo's
    signal.signal(signal.SIGTERM, interrupt)
    try:
        run(once=chosen.once)
    except KeyboardInterrupt:
        print("\nstopped")
    except (DemoError, OSError, smtplib.SMTPException, subprocess.TimeoutExpired) as fault:
        print(f"demo: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
