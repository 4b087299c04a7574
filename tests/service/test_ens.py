"""Names of the Ethereum Name Service: what is asked of the node, and what of its answers is believed."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from Crypto.Hash import keccak

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, FetchFailed, Purpose, Want
from remote_worker.service.ens import Ens, Owned, checksummed, namehash

URL = "https://node.example/v3/key"
OWNER = "0xd8da6bf26964af9d7eed9e03e53415d37aa96045"
RESOLVER = "0x231b0ee14048e9dccd1d247744d114a4eb5e8e63"
ADDRESS = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
NOBODY = "0x" + 40 * "0"


def selector(signature: str) -> str:
    """The first four bytes of the hash of a signature, as the contract ABI specification has it."""
    return "0x" + keccak.new(digest_bits=256, data=signature.encode()).hexdigest()[:8]


def padded(address: str) -> str:
    return "0x" + address.removeprefix("0x").rjust(64, "0")


class Node:
    """A node that answers with these results by the call's signature, or with what a function makes of it."""

    def __init__(self, **results: Any) -> None:
        self.results = {
            "owner(bytes32)": padded(OWNER),
            "resolver(bytes32)": padded(RESOLVER),
            "addr(bytes32)": padded(ADDRESS),
        }
        self.results |= {f"{name}(bytes32)": result for name, result in results.items()}
        self.answer: Callable[[dict[str, Any]], bytes] | None = None
        self.status = 200
        self.is_cut = False
        self.wants: list[Want] = []
        self.deadlines: list[float] = []
        self.bodies: list[Document] = []

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """Fill the protocol."""
        self.wants.append(want)
        self.deadlines.append(deadline)
        call = json.loads(want.body)
        names = {selector(signature): signature for signature in self.results}
        result = self.results[names[call["params"][0]["data"][:10]]]
        members = result if isinstance(result, dict) else {"result": result}
        body = (
            self.answer(call)
            if self.answer
            else json.dumps({"jsonrpc": "2.0", "id": call["id"], **members}).encode()
        )
        self.bodies.append(Document.of(body))
        return Fetched(
            url=want.url,
            status=self.status,
            headers={},
            body=self.bodies[-1],
            media_type="application/json",
            is_cut=self.is_cut,
            hops=(),
            received_bytes=len(body),
            milliseconds=1.0,
        )

    @property
    def calls(self) -> list[Any]:
        """What was asked."""
        return [json.loads(want.body)["params"][0] for want in self.wants]


def look_up(node: Node, name: str = "vitalik.eth", url: str = URL) -> Owned:
    return asyncio.run(Ens(node, url).look_up(name, 12.5))


def failure(node: Node, name: str = "vitalik.eth", url: str = URL) -> FailureCode:
    with pytest.raises(WorkFailed) as caught:
        look_up(node, name, url)
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "node"),
    [
        # EIP-137, "namehash algorithm".
        ("eth", "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"),
        ("foo.eth", "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"),
    ],
)
def test_the_node_of_a_name_is_that_of_the_standard(name: str, node: str) -> None:
    assert namehash(name).hex() == node


@pytest.mark.parametrize(
    "address",
    [
        # EIP-55, "Test Cases".
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_an_address_is_written_with_the_capitals_of_the_standard(address: str) -> None:
    assert checksummed(address.lower()) == address


def test_registry_and_resolver_are_asked_through_the_one_door() -> None:
    node = Node()

    owned = look_up(node, "Vitalik.ETH")

    assert owned == Owned(
        name="vitalik.eth",
        owner="0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
        address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    )
    registry, word = "0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e", namehash("vitalik.eth").hex()
    assert node.calls == [
        {"to": registry, "data": selector("owner(bytes32)") + word},
        {"to": registry, "data": selector("resolver(bytes32)") + word},
        {"to": RESOLVER, "data": selector("addr(bytes32)") + word},
    ]
    assert {(want.url, want.purpose) for want in node.wants} == {(URL, Purpose.RPC)}
    assert node.deadlines == [12.5] * 3


def test_what_was_fetched_is_given_back() -> None:
    node = Node()

    look_up(node)

    for body in node.bodies:
        with pytest.raises(OSError, match="descriptor"):
            body.prefix()


@pytest.mark.parametrize(
    "results",
    [
        {"resolver": padded(NOBODY)},
        {"addr": padded(NOBODY)},
        {"addr": "0x"},
        {"addr": "0x" + "1" * 64},  # more than an address
        {"addr": None},
        {"addr": {"error": {"code": 3, "message": "execution reverted"}}},
    ],
)
def test_a_name_without_an_address_has_an_owner_all_the_same(results: dict[str, Any]) -> None:
    owned = look_up(Node(**results))

    assert owned.owner == "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
    assert owned.address is None


@pytest.mark.parametrize(
    "results",
    [
        {"owner": padded(NOBODY)},
        {"owner": "0x"},
        {"owner": "0x" + "1" * 64},
        {"owner": padded(OWNER)[:-1]},
        {"owner": padded(OWNER) + "0"},
        {"owner": 1},
        {"owner": {"error": {"code": 3, "message": "execution reverted"}}},
        {"owner": {"error": {"code": -32005, "message": "limit exceeded"}}},
        {"resolver": {"error": {"code": -32005, "message": "limit exceeded"}}},
        {"addr": {"error": {"code": -32005, "message": "limit exceeded"}}},
        {"addr": {"error": "limit exceeded"}},
        {"owner": {"id": 2, "result": padded(OWNER)}},
        {"owner": {"jsonrpc": "1.0", "result": padded(OWNER)}},
    ],
)
def test_a_node_that_fails_is_a_failure(results: dict[str, Any]) -> None:
    assert failure(Node(**results)) is FailureCode.ENS_FAILED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"[" * 60_000,
        b'{"jsonrpc": "2.0", "id": 1, "result": "%s"' % padded(OWNER).encode(),
        b"\xff{}",
    ],
    ids=["nothing", "html", "list", "null", "deep", "cut", "not utf-8"],
)
def test_what_is_no_answer_of_json_rpc_is_a_failure(body: bytes) -> None:
    node = Node()
    node.answer = lambda _: body

    assert failure(node) is FailureCode.ENS_FAILED


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)])
def test_an_answer_has_so_many_bytes_and_not_one_more(more: int, is_read: bool) -> None:
    node = Node(resolver=padded(NOBODY))

    def answer(call: dict[str, Any]) -> bytes:
        result = node.results["owner(bytes32)" if len(node.wants) == 1 else "resolver(bytes32)"]
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        return body + b" " * (64 * 1024 + more - len(body))

    node.answer = answer

    if is_read:
        assert look_up(node).address is None
    else:
        assert failure(node) is FailureCode.ENS_FAILED


@pytest.mark.parametrize(("status", "is_cut"), [(404, False), (500, False), (200, True)])
def test_a_refusal_and_half_an_answer_are_failures(status: int, is_cut: bool) -> None:
    node = Node()
    node.status, node.is_cut = status, is_cut

    assert failure(node) is FailureCode.ENS_FAILED


def test_a_door_that_refuses_says_why() -> None:
    class Closed:
        """A door that lets nothing out."""

        async def fetch(self, want: Want, *, deadline: float) -> Fetched:
            """Fill the protocol."""
            raise FetchFailed(FailureCode.BLOCKED_ADDRESS, "private")

    with pytest.raises(WorkFailed) as caught:
        asyncio.run(Ens(Closed(), URL).look_up("vitalik.eth", 12.5))

    assert caught.value.code is FailureCode.BLOCKED_ADDRESS


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("foo.eth", True),
        ("sub.foo.eth", True),
        ("a-b.eth", True),
        ("0.eth", True),
        ("foo", False),
        ("eth", False),
        (".eth", False),
        ("a..eth", False),
        ("foo.eth.", False),
        ("foo.com", False),
        ("fooeth", False),
        ("foo.eth\n", False),
        ("föö.eth", False),
        ("foo_bar.eth", False),
        ("xn--abc.eth", False),
        ("ab-c.eth", True),
        ("\u0130.eth", False),  # its lower case begins with an i
        ("a" * 249 + ".eth", True),
        ("a" * 250 + ".eth", False),
    ],
)
def test_a_name_is_in_letters_that_no_version_reads_otherwise(name: str, is_one: bool) -> None:
    node = Node()

    if is_one:
        assert look_up(node, name).name == name
    else:
        assert failure(node, name) is FailureCode.BAD_PARAMETER
        assert node.wants == []


def test_without_an_endpoint_it_is_off() -> None:
    node = Node()

    with pytest.raises(WorkFailed, match="REMOTE_ENS_RPC_URL") as caught:
        look_up(node, url="")

    assert caught.value.code is FailureCode.NOT_CONFIGURED
    assert failure(node, "foo", url="") is FailureCode.BAD_PARAMETER
    assert node.wants == []
