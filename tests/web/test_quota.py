"""How much a key may ask for, by a clock that the test turns."""

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web.keys import Allowance, Identity, Key
from remote_worker.web.quota import Quotas
from remote_worker.web.signed import MOST_SIGNATURES_KEPT, Replays, SignedHead


class Clock:
    """Seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def key(name: str = "app", **allowance: int) -> Key:
    return Key(identity=Identity(name=name, trust=name), allowance=Allowance(**allowance))


def wait(quotas: Quotas, who: Key, size: int = 0) -> int:
    """0 when it is let in, else the seconds until it may come again."""
    try:
        quotas.charge(who, size)
    except WorkFailed as refused:
        return refused.retry_seconds if refused.code is FailureCode.QUOTA_EXCEEDED else -1
    return 0


def test_requests_come_in_a_burst_and_then_at_their_rate() -> None:
    clock = Clock()
    quotas, who = Quotas(clock), key(requests_per_minute=12, burst=3)

    assert [wait(quotas, who) for _ in range(4)] == [0, 0, 0, 5]
    clock.now += 4.9
    assert wait(quotas, who) == 1
    clock.now += 0.1
    assert [wait(quotas, who), wait(quotas, who)] == [0, 5]
    clock.now += 3600
    assert [wait(quotas, who) for _ in range(4)] == [0, 0, 0, 5]


@pytest.mark.parametrize(
    ("per_minute", "now"),
    [
        *((per_minute, 1000.0) for per_minute in (1, 7, 60, 61, 600, 9973)),
        # Where the fractions do not add up to 1.
        (6, 22.145),
        (60, 127.008),
        (1, 235.491),
    ],
)
def test_who_comes_back_when_told_is_let_in(per_minute: int, now: float) -> None:
    clock = Clock()
    clock.now = now
    quotas, who = Quotas(clock), key(requests_per_minute=per_minute, burst=1)
    assert wait(quotas, who) == 0

    clock.now += wait(quotas, who)

    assert wait(quotas, who) == 0


def test_without_a_burst_ten_seconds_may_come_at_a_stroke() -> None:
    quotas = Quotas(Clock())

    assert [wait(quotas, key(requests_per_minute=18)) for _ in range(4)] == [0, 0, 0, 4]
    assert [wait(quotas, key("b", requests_per_minute=2)) for _ in range(2)] == [0, 30]


def test_bytes_past_the_minute_are_paid_for_before_the_next() -> None:
    clock = Clock()
    quotas, who = Quotas(clock), key(bytes_per_minute=600)

    assert wait(quotas, who, 400) == 0
    assert wait(quotas, who, 1000) == 0  # Larger than what is left, and late instead of lost.
    assert wait(quotas, who, 1) == 81  # 800 too many at 10 a second, and one to begin with
    assert wait(quotas, who, 0) == 0
    clock.now += 81
    assert wait(quotas, who, 1) == 0


def test_bytes_nobody_told_of_count_once_they_have_come() -> None:
    quotas, who = Quotas(Clock()), key(bytes_per_minute=600)
    assert wait(quotas, who) == 0

    quotas.count(who, 1200)

    assert wait(quotas, who, 1) == 61


def test_a_body_of_unknown_length_waits_for_what_was_overdrawn() -> None:
    clock = Clock()
    quotas, who = Quotas(clock), key(bytes_per_minute=600)
    assert wait(quotas, who, 600) == 0

    with pytest.raises(WorkFailed) as refused:
        quotas.charge(who, 0, has_body=True)
    assert refused.value.retry_seconds == 1
    clock.now += 0.1
    quotas.charge(who, 0, has_body=True)


def test_what_is_given_back_is_no_more_than_a_minute_of_bytes() -> None:
    quotas, who = Quotas(Clock()), key(bytes_per_minute=600)
    assert wait(quotas, who, 10**15) == 0

    quotas.count(who, -2 * 10**15)

    assert wait(quotas, who, 600) == 0
    assert wait(quotas, who, 1) == 1


def test_what_began_before_a_change_does_not_bring_the_former_quota_back() -> None:
    quotas, former, changed = Quotas(Clock()), key(bytes_per_minute=600), key(bytes_per_minute=60)
    assert wait(quotas, former, 1) == 0
    assert wait(quotas, changed, 60) == 0

    quotas.count(former, 10)

    assert wait(quotas, changed, 1) == 1


def test_so_many_run_at_once() -> None:
    quotas, who = Quotas(Clock()), key(at_once=2)

    with quotas.running(who), quotas.running(who):
        with pytest.raises(WorkFailed) as refused:
            quotas.charge(who, 0)
        with pytest.raises(WorkFailed), quotas.running(who):
            raise AssertionError
        with quotas.running(key("b", at_once=1)):
            pass
    assert refused.value.code is FailureCode.QUOTA_EXCEEDED
    with quotas.running(who):
        assert wait(quotas, who) == 0


def test_keys_do_not_share_and_those_without_a_quota_are_free() -> None:
    quotas = Quotas(Clock())
    assert [wait(quotas, key(requests_per_minute=6, burst=1)) for _ in range(2)] == [0, 10]

    assert wait(quotas, key("b", requests_per_minute=6, burst=1)) == 0
    assert {wait(quotas, key("c"), 10**12) for _ in range(1000)} == {0}


def test_a_quota_that_was_changed_holds_at_once() -> None:
    quotas = Quotas(Clock())
    assert [wait(quotas, key(requests_per_minute=6, burst=1)) for _ in range(2)] == [0, 10]

    assert [wait(quotas, key(requests_per_minute=6, burst=2)) for _ in range(3)] == [0, 0, 10]


def head(number: int, *, created: int = 1000, expires: int | None = None) -> SignedHead:
    signature = number.to_bytes(32, "big")[::-1]
    return SignedHead(
        key_id="k", created=created, expires=expires, covers_digest=False, signature=signature, parameters=""
    )


def test_a_signature_is_remembered_for_as_long_as_it_holds() -> None:
    replays = Replays(300)
    replays.use("app", head(1), 1000.0)

    for now in (1000.0, 1299.9, 1300.9):
        with pytest.raises(WorkFailed) as again:
            replays.use("app", head(1), now)
        assert again.value.code is FailureCode.UNAUTHENTICATED
    with pytest.raises(WorkFailed):
        replays.check_time(head(1), 1300.9)
    replays.check_time(head(1), 1300.0)
    replays.use("app", head(2), 1000.0)
    replays.use("other", head(1), 1000.0)


def test_only_so_many_signatures_of_a_key_are_remembered_and_no_more_let_in() -> None:
    replays = Replays(300)
    for number in range(MOST_SIGNATURES_KEPT):
        replays.use("app", head(number, expires=1010), 1000.0)

    with pytest.raises(WorkFailed) as full:
        replays.use("app", head(MOST_SIGNATURES_KEPT), 1000.0)

    assert (full.value.code, full.value.retry_seconds) == (FailureCode.QUOTA_EXCEEDED, 11)
    replays.use("other", head(0), 1000.0)
    replays.use("app", head(MOST_SIGNATURES_KEPT, created=1011), 1011.0)
