"""What every client's test uses: one node for all of them, and a letter of the test's own."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.letters import Letter, letter
from tests.support.node import Node
from tests.support.openid_provider import Provider
from tests.support.upstream import start_upstream


@pytest.fixture
def sent(shared_node: Node) -> Letter:
    """A letter that has not been sent yet."""
    return letter(shared_node)


@pytest.fixture(autouse=True)
def _forgive_wrong_passwords(request: pytest.FixtureRequest) -> Iterator[None]:
    """Five wrong passwords lock an account out: those of one test are not the next one's fault."""
    yield
    if "wrong" in request.node.name and "shared_node" in request.fixturenames:
        node: Node = request.getfixturevalue("shared_node")
        node.run("account", "unlock", node.account, check=False)


@dataclass
class Bearers:
    """Access tokens of a provider that the `sasl_node` trusts."""

    provider: Provider
    account: str

    def good(self) -> str:
        """Return one that logs the account in."""
        return self._token(300)

    def expired(self) -> str:
        """Return one that did."""
        return self._token(-999)

    def _token(self, life: int) -> str:
        said = {
            "iss": self.provider.issuer,
            "aud": "gatepost",
            "email": self.account,
            "email_verified": True,
        }
        return self.provider.token(**said, exp=int(time.time()) + life)


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """A provider of access tokens."""
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def sasl_node(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Node]:
    """A node whose account may log in by every mechanism, a client certificate included."""
    oauth = f'[auth.oauth]\nissuer = "{provider.issuer}"\naudience = "gatepost"\n'
    # All clients guess wrong once, from one address.
    lenient = "[limits]\nauthentication_failures = 1000\n"
    node = start_upstream(tmp_path_factory.mktemp("sasl-node"), oauth + lenient)
    yield node
    node.stop()


@pytest.fixture
def bearers(provider: Provider, sasl_node: Node) -> Bearers:
    """Tokens for the node's account."""
    return Bearers(provider, sasl_node.account)


@pytest.fixture
def letter_of(sasl_node: Node) -> Iterator[Callable[[], Letter]]:
    """Make letters from that node's account; afterwards, wrong secrets are forgiven."""
    yield lambda: letter(sasl_node)
    sasl_node.run("account", "unlock", sasl_node.account, check=False)
