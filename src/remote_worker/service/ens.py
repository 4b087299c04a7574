"""Who owns a name of the Ethereum Name Service: asked of the registry, through a node the operator named."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..contract import wire
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Fetched, Purpose, Want
from . import told

REGISTRY = "0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e"
"""On the main network; EIP-137."""
LONGEST_NAME = 253
"""Characters; longer than a name of the DNS, no name is used."""
MOST_ANSWER_BYTES = wire.JSON_BYTES
"""An answer has 100; what is longer is none."""

_OWNER = "02571be3"
"""The first bytes of the Keccak-256 of `owner(bytes32)`, by which a contract knows the call."""
_RESOLVER = "0178b8bf"
_ADDRESS = "3b3b57de"
_NOBODY = "0x" + "0" * 40

# ENSIP-15 allows more; these are alike in all its versions. Two hyphens at the third place mean punycode.
_NAME = re.compile(r"(?:(?!..--)[a-z0-9-]+\.)+eth")
_ANSWER = re.compile(r"0x0{24}([0-9a-f]{40})")
"""An address as the EVM returns it, padded to 32 bytes."""

_REVERTED = (3, -32000, -32015)
"""How nodes say that a contract ended without a result: EIP-1474's, geth's and Parity's codes."""


class Fetcher(Protocol):
    """The one door out."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """What a URL leads to. Raises WorkFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A name's owner, and the address that it stands for if there is one, both as EIP-55 writes them."""

    name: str
    owner: str
    address: str | None


class Ens:
    """Asks the registry. Without a URL it is off."""

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        self._fetcher = fetcher
        self._url = url

    @property
    def is_on(self) -> bool:
        """Whether there is a node to ask."""
        return bool(self._url)

    async def look_up(self, name: str, deadline: float) -> Owned:
        """The owner of a name, in lower case. Raises WorkFailed."""
        name = name.lower()
        if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
            raise WorkFailed(FailureCode.BAD_PARAMETER, "Please provide a valid ENS name that ends with .eth")
        if not self._url:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "ENS is off: REMOTE_ENS_RPC_URL names no endpoint")
        node = namehash(name).hex()
        owner = await self._call(REGISTRY, _OWNER + node, deadline)
        if owner == _NOBODY:
            raise WorkFailed(FailureCode.ENS_FAILED, "nobody owns this name")
        resolver = await self._call(REGISTRY, _RESOLVER + node, deadline)
        address = _NOBODY if resolver == _NOBODY else await self._address(resolver, node, deadline)
        return Owned(
            name=name,
            owner=checksummed(owner),
            address=None if address == _NOBODY else checksummed(address),
        )

    async def _address(self, resolver: str, node: str, deadline: float) -> str:
        """What the resolver says. Anyone may write one: from some, nothing comes."""
        try:
            return await self._call(resolver, _ADDRESS + node, deadline)
        except _Reverted:
            return _NOBODY

    async def _call(self, contract: str, data: str, deadline: float) -> str:
        """The address that a contract returns for a call."""
        body = json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "eth_call",
                "params": [{"to": contract, "data": f"0x{data}"}, "latest"],
            }
        ).encode()
        want = Want(url=self._url, purpose=Purpose.RPC, body=body)
        with await self._fetcher.fetch(want, deadline=deadline) as fetched:
            result = _answer(fetched).get("result")
        found = _ANSWER.fullmatch(result.lower()) if isinstance(result, str) else None
        if found is None:
            raise _Reverted(FailureCode.ENS_FAILED, "the contract gave no address")
        return f"0x{found[1]}"


class _Reverted(WorkFailed):
    """The node works, but the contract gave nothing."""


def namehash(name: str) -> bytes:
    """The node of a normalised name; EIP-137."""
    node = bytes(32)
    for label in reversed(name.split(".")):
        node = _keccak(node + _keccak(label.encode()))
    return node


def checksummed(address: str) -> str:
    """The address with capitals that prove it; EIP-55."""
    digits = address.removeprefix("0x").lower()
    proof = _keccak(digits.encode()).hex()
    pairs = zip(digits, proof, strict=False)
    return "0x" + "".join(digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in pairs)


def _keccak(data: bytes) -> bytes:
    # Loading it takes 20 ms of every start, and few workers have a node to ask.
    from Crypto.Hash import keccak  # noqa: PLC0415

    return keccak.new(digest_bits=256, data=data).digest()


def _answer(fetched: Fetched) -> Mapping[str, Any]:
    """The JSON-RPC answer, whose sender may be anybody who got between. Raises WorkFailed."""
    try:
        answer = told.read(fetched, MOST_ANSWER_BYTES)
    except told.NothingTold as nothing:
        raise WorkFailed(FailureCode.ENS_FAILED, "the endpoint gave no JSON-RPC answer") from nothing
    if answer.get("jsonrpc") != "2.0" or answer.get("id") != 1:
        raise WorkFailed(FailureCode.ENS_FAILED, "the endpoint gave no JSON-RPC answer")
    error = answer.get("error")
    if error is not None:
        code = error.get("code") if isinstance(error, dict) else None
        kind = _Reverted if code in _REVERTED else WorkFailed
        raise kind(FailureCode.ENS_FAILED, "the endpoint gave an error")
    return answer
