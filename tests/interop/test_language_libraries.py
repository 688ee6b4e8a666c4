"""What programs in other languages send with: Perl, PHP, Ruby, Go, Java. Each sends one message by
each mechanism that it has, and reports a wrong secret as a login that failed.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.conftest import Bearers
from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import missing, need, need_file, need_perl_modules, run

CLIENTS = Path(__file__).with_name("clients")
JARS = ("/usr/share/java/jakarta-mail.jar", "/usr/share/java/jakarta-activation.jar")
MODULES = ("Authen::SASL", "Digest::HMAC_MD5", "IO::Socket::SSL")
#: EX_NOPERM of sysexits.h: what the programs in `clients` end with when a login was refused.
REFUSED_LOGIN = 77

#: Returns the command of a program that takes the words all of them take.
Program = Callable[[Path], list[str]]


def perl(_built: Path) -> list[str]:
    return [need_perl_modules(*MODULES), str(CLIENTS / "net_smtp.pl")]


def php(_built: Path) -> list[str]:
    need_file("/usr/share/php/libphp-phpmailer/autoload.php", "libphp-phpmailer")
    return [need("php"), str(CLIENTS / "phpmailer.php")]


def ruby(_built: Path) -> list[str]:
    return [need("ruby"), str(CLIENTS / "net_smtp.rb")]


def go(built: Path) -> list[str]:
    program = built / "net_smtp"
    if not program.exists():
        _build(
            [need("go"), "build", "-o", str(program), str(CLIENTS / "net_smtp.go")],
            GOCACHE=str(built / "cache"), GOPATH=str(built / "path"), GOPROXY="off", GO111MODULE="off",
        )  # fmt: skip
    return [str(program)]


def java(built: Path) -> list[str]:
    path = ":".join(need_file(jar, "libjakarta-mail-java") for jar in JARS)
    if not (built / "JakartaMail.class").exists():
        source = CLIENTS / "JakartaMail.java"
        _build([need("javac"), "-cp", path, "-d", str(built), str(source)])
    quick = ("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:+UseSerialGC")
    return [need("java"), *quick, "-cp", f"{path}:{built}", "JakartaMail"]


def _build(command: list[str], **environment: str) -> None:
    done = run(command, **environment)
    if done.returncode:
        missing(f"{command[0]} does not build its client: {done.stdout}")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what must be compiled is kept for all tests."""
    return tmp_path_factory.mktemp("built")


def send(
    program: list[str], node: Node, sent: Letter, mechanism: str, secret: str
) -> subprocess.CompletedProcess[str]:
    words = [HOST, str(node.ports.submission), mechanism, node.account, secret]
    is_php = program[-1].endswith(".php")  # it writes the header section itself
    more = [sent.subject] if is_php else []
    content = sent.body.replace("\n", "\r\n").encode() if is_php else sent.octets
    return run([*program, *words, sent.sender, sent.recipient, *more], stdin=content)


CASES = [
    pytest.param(program, mechanism, marks=pytest.mark.interop(name), id=f"{name}-{mechanism}")
    for name, program, mechanisms in (
        ("perl", perl, ("PLAIN", "LOGIN", "CRAM-MD5")),
        ("php", php, ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2")),
        ("ruby", ruby, ("PLAIN", "LOGIN", "CRAM-MD5")),
        ("go", go, ("PLAIN", "CRAM-MD5")),
        ("java", java, ("PLAIN", "LOGIN", "XOAUTH2")),
    )
    for mechanism in mechanisms
]


@pytest.mark.rfc("4954#4", "4954#6")
@pytest.mark.parametrize(("program", "mechanism"), CASES)
def test_a_right_secret_sends_and_a_wrong_one_is_reported(
    sasl_node: Node, bearers: Bearers, built: Path, letter_of: Callable[[], Letter],
    program: Program, mechanism: str,
) -> None:  # fmt: skip
    command = program(built)
    right, wrong = sasl_node.password, "wrong"
    if mechanism == "XOAUTH2":
        right, wrong = bearers.good(), bearers.expired()
    sent = letter_of()
    done = send(command, sasl_node, sent, mechanism, right)
    assert done.returncode == 0, done.stdout
    assert_arrived(sasl_node, sent)
    sent = letter_of()
    done = send(command, sasl_node, sent, mechanism, wrong)
    assert done.returncode == REFUSED_LOGIN, done.stdout
    assert_nothing_arrived(sasl_node, sent)
