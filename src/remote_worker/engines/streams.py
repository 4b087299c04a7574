"""How queues are laid out on NATS JetStream: names, settings, and what is to be changed of those found. Pure.

The names are promised to others: autoscalers read the depth of a queue by them (docs/nats.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .engine import DEDUPE_SECONDS, Kind, Policy

CONSUMER = "workers"
"""The durable consumer of every stream, which all workers share."""
API = "$JS.API"
MOST_PULLS = 16_384
"""Slots of all workers that wait on one consumer at once; JetStream's default is 512."""
NANOSECONDS = 1_000_000_000

Config = Mapping[str, object]


def stream_name(kind: Kind) -> str:
    """Of the stream that holds the units of a kind."""
    return f"remote_worker_{kind}"


def subject(kind: Kind) -> str:
    """Where units of a kind are published."""
    return f"remote_worker.{kind}"


def message_id(kind: Kind, unit_id: str) -> str:
    """By which JetStream knows a unit that it has seen."""
    return f"{kind}:{unit_id}"


def unit_id(message: str) -> str | None:
    """The id of a unit out of that of its message."""
    _, colon, name = message.partition(":")
    return name if colon and name else None


def stream(kind: Kind, policy: Policy, replicas: int = 0) -> Config:
    """What a stream has to be. What is not said here is left as the operator has it."""
    wanted: dict[str, object] = {
        "name": stream_name(kind),
        "subjects": [subject(kind)],
        # A unit is gone once it is acknowledged, so that places are those of units that are still to be done.
        "retention": "workqueue",
        "storage": "file",
        "discard": "new",
        "discard_new_per_subject": False,
        "max_msgs": policy.places,
        "duplicate_window": DEDUPE_SECONDS * NANOSECONDS,
    }
    if replicas:
        wanted["num_replicas"] = replicas
    return wanted


def consumer(policy: Policy) -> Config:
    """What the consumer of a stream has to be."""
    return {
        "durable_name": CONSUMER,
        "ack_policy": "explicit",
        "ack_wait": int(policy.lease_seconds * NANOSECONDS),
        # No bound of the server's: a message that has used it up stays in a work queue for ever, in a place
        # that others wait for. Deliveries are counted here instead (`fate`), and the message is terminated.
        "max_deliver": -1,
        # Those that wait to be handed out again, as webhooks do for hours, count: all places may do so.
        "max_ack_pending": policy.places,
    }


FIRST: Config = {"deliver_policy": "all", "replay_policy": "instant", "max_waiting": MOST_PULLS}
"""Of a consumer, what is said when it is made and cannot be changed later."""


def changed(told: Mapping[str, Any], wanted: Config) -> Config | None:
    """What was found with what is wanted put right in it; None where nothing has to be."""
    found: Config = told["config"]
    # Servers leave out what is false or zero.
    different = {name: value for name, value in wanted.items() if (found.get(name) or 0) != (value or 0)}
    if "max_msgs" in different and not _may_have_places(wanted["max_msgs"], told):
        del different["max_msgs"]
    return {**found, **different} if different else None


def _may_have_places(places: Any, told: Mapping[str, Any]) -> bool:
    """Servers up to 2.9 throw away what is past a limit that is lowered, so there has to be room to spare."""
    before = int(told["config"].get("max_msgs", -1))
    return 0 < before < int(places) or 2 * int(told["state"]["messages"]) <= int(places)


RECORDINGS = 3
"""Deliveries past the attempts that are given to a handler, which only records the failure."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to be done with a delivery."""

    is_beyond: bool
    is_dropped: bool


def fate(attempt: int, policy: Policy) -> Fate:
    """Of the delivery with that number. Who was to record the failure may have died over it, too."""
    return Fate(
        is_beyond=attempt > policy.most_attempts, is_dropped=attempt > policy.most_attempts + RECORDINGS
    )
