"""What is counted: closed lists of labels, numbers done by hand, and the files that are made for them."""

import asyncio
import json
import math
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from remote_worker import metrics
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.signatures import looks_like
from remote_worker.decoder.formats import FORMATS, detect
from remote_worker.fetch import policy
from remote_worker.metrics import Counter, Histogram, Outcome, Pulse, outcome_of, quantile
from remote_worker.pool.child import Kill
from remote_worker.service.preview import Came

ROOT = Path(__file__).resolve().parents[2]
NOT_IN_THE_DASHBOARD = {
    "process_start_time_seconds": "it only tells when",
    "process_virtual_memory_bytes": "it counts what nobody uses",
}


@pytest.fixture
def counter() -> Counter:
    made = Counter("fruit", "Fruit.", kind=("apple", "pear"), size=("1", "2"))
    metrics.EVERY.remove(made)
    return made


@pytest.fixture
def histogram() -> Histogram:
    made = Histogram("weight", "Weights.", (1.0, 2.0, 5.0), kind=("apple",))
    metrics.EVERY.remove(made)
    return made


def test_a_counter_counts_each_combination_by_itself(counter: Counter) -> None:
    counter.add("apple", "1")
    counter.add("apple", "1", by=2)
    counter.add("pear", 2)
    counter.add("pear", 2)

    assert dict(counter.items()) == {("apple", "1"): 3, ("pear", "2"): 2}
    assert counter.total == 5


def test_what_alerts_are_about_is_told_before_it_happens() -> None:
    """Prometheus sees no increase in a series that begins with its first event."""
    alerts = (ROOT / "deploy" / "alerts.yml").read_text()
    about = [
        one
        for one in metrics.EVERY
        if isinstance(one, Counter) and f"{one.name}_total" in alerts and one is not metrics.REQUESTS
    ]

    assert {one.name.removeprefix(metrics.PREFIX) for one in about} == {
        *("errors", "decode_outcomes", "template_losses", "egress_denied"),
    }
    for one in about:
        combinations = math.prod(len(values) for values in one.labels.values())
        assert len([labels for labels, _ in one.items() if metrics.OTHER not in labels]) == combinations
    assert ("internal",) in dict(metrics.ERRORS.items())


def test_no_stranger_makes_a_new_label(counter: Counter) -> None:
    for number in range(1000):
        counter.add(f"stranger{number}", number)
    counter.add("apple", 3)

    assert set(dict(counter.items())) == {
        ("other", "other"),
        ("other", "1"),
        ("other", "2"),
        ("apple", "other"),
    }
    assert counter.total == 1001


def test_a_histogram_holds_what_is_at_a_bound_below_it_and_what_is_past_it_above(
    histogram: Histogram,
) -> None:
    for weight in (0.5, 1.0, 1.001, 5.0, 5.001):
        histogram.observe(weight, "apple")
    histogram.observe(3.0, "stranger")

    assert histogram.cells[("apple",)].counts == [2, 1, 1, 1]
    assert histogram.cells[("apple",)].sum == pytest.approx(12.502)
    assert histogram.cells.keys() == {("apple",), ("other",)}
    assert (histogram.counts(), histogram.total, histogram.largest) == ((2, 1, 2, 1), 6, 5.001)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0, 0, 0), 0.5, 0.0),
        ((4, 0, 0, 0), 0.5, 0.5),
        ((0, 4, 0, 0), 0.5, 1.5),
        ((2, 0, 2, 0), 0.5, 1.0),
        ((2, 0, 2, 0), 0.75, 3.5),
        ((0, 0, 0, 3), 0.99, 5.0),  # Past the last bound, Prometheus says the last bound too.
    ],
)
def test_a_quantile_is_estimated_as_prometheus_does(
    counts: tuple[int, ...], share: float, expected: float
) -> None:
    assert quantile((1.0, 2.0, 5.0), counts, share) == pytest.approx(expected)


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_of_a_child_comes_to_one_outcome(code: FailureCode) -> None:
    expected = {
        "deadline": Outcome.TIMEOUT,
        "parse_limit": Outcome.TIMEOUT,
        "too_much_memory": Outcome.MEMORY,
        "decoder_crashed": Outcome.CRASH,
        "jail_unavailable": Outcome.UNAVAILABLE,
        "busy": Outcome.UNAVAILABLE,
    }

    assert outcome_of(code) is expected.get(code, Outcome.REJECT)


def test_the_lists_hold_every_word_of_those_who_use_them() -> None:
    rules = {policy.DENIED, policy.MIXED, policy.PORT, policy.SELF, "single_label", "metadata"}

    assert {kill.name.lower() for kill in Kill} == set(metrics.KILLS)
    assert {str(came) for came in Came} <= set(metrics.LOOKUPS)
    assert rules | set(policy.SPECIAL_NAMES.values()) <= set(metrics.DENIALS)


def test_a_body_looks_like_what_the_decoder_finds_it_to_be(samples: Path) -> None:
    wrong, told = [], set()
    for path in sorted(path for row in FORMATS for path in (samples / row.name).glob("*")):
        body = path.read_bytes()
        try:
            expected = detect(body).name
        except Exception:  # noqa: BLE001  no picture
            continue
        told.add(expected)
        if looks_like(body[:4096]) != expected:
            wrong.append((path.name, expected))

    assert wrong == []
    assert len(told) > 10


@pytest.mark.parametrize("body", [b"", b"hello", b"\0" * 64, b"RIFF\0\0\0\0WAVE", b"%PDF-1.7"])
def test_what_is_no_picture_looks_like_none(body: bytes) -> None:
    assert looks_like(body) is None


def test_rates_are_those_since_the_oldest_look() -> None:
    async def looked() -> metrics.Rates:
        async with Pulse() as pulse:
            for _ in range(5):
                metrics.REQUESTS.add("none", "GET", 200)
                metrics.REQUEST_SECONDS.observe(0.004, "none")
            return pulse.rates()

    rates = asyncio.run(looked())

    assert rates.requests * rates.seconds == pytest.approx(5)
    assert rates.quantile(0.5) == pytest.approx(0.00375)


def told_names() -> set[str]:
    """Every name of ours as Prometheus knows it."""
    return {f"{one.name}_total" if one.kind == "counter" else one.name for one in metrics.EVERY}


def used_names(expressions: str) -> set[str]:
    names = set(re.findall(r"\b(?:remote_worker|process)_[a-z_]+", expressions))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    used = used_names("\n".join(expressions))

    assert used == told_names() | set(metrics.PROCESS) - NOT_IN_THE_DASHBOARD.keys()
    assert NOT_IN_THE_DASHBOARD.keys() <= set(metrics.PROCESS)


def test_the_dashboard_imports_cleanly() -> None:
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    panels = board["panels"]
    numbers = [panel["id"] for panel in panels]
    spots = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert board["id"] is None  # Grafana gives it one.
    assert board["schemaVersion"] >= 36
    assert len(numbers) == len(set(numbers))
    assert len(spots) == len(set(spots))
    assert max(x for x, _ in spots) < 24
    assert {panel["type"] for panel in panels} == {"row", "stat", "timeseries"}
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    for panel in panels:
        assert panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert target["expr"].count("(") == target["expr"].count(")")


@pytest.mark.needs_promtool
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """As rules, after Grafana has put in its variables."""
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    told = {"$job": ".+", "$instance": "127.0.0.1:9464", "$__rate_interval": "1m"}
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    for name, value in told.items():
        expressions = [expression.replace(name, value) for expression in expressions]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(expressions)]
    path = tmp_path / "rules.json"  # YAML, too.
    path.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
    )

    assert "$" not in "".join(expressions)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


SERIES = {
    "RemoteWorkerDown": ({'up{job="remote-worker",instance="a"}': "0x30"}, {"job": "remote-worker"}),
    "RemoteWorkerFails": ({'remote_worker_errors_total{code="internal",instance="a"}': "0+1x30"}, {}),
    "RemoteWorkerDecodersCrash": (
        {'remote_worker_decode_outcomes_total{format="png",outcome="crash",instance="a"}': "0x13 0+6x16"},
        {"format": "png"},
    ),
    "RemoteWorkerProbesTheInside": (
        {'remote_worker_egress_denied_total{reason="metadata",instance="a"}': "0+5x30"},
        {"reason": "metadata"},
    ),
    "RemoteWorkerQueueIsLong": (
        {
            'remote_worker_queue_depth{queue="texts",instance="a"}': "51x30",
            'remote_worker_queue_places{queue="texts",instance="a"}': "100x30",
        },
        {"queue": "texts"},
    ),
}


@pytest.mark.needs_promtool
@pytest.mark.parametrize("alert", SERIES)
def test_an_alert_rings_for_what_it_is_about(alert: str, tmp_path: Path) -> None:
    series, labels = SERIES[alert]
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    rules = groups["groups"][0]["rules"]
    for rule in rules:
        del rule["annotations"]
    (tmp_path / "rules.json").write_text(json.dumps(groups))
    (severity,) = [rule["labels"]["severity"] for rule in rules if rule["alert"] == alert]
    quiet = [{"series": name, "values": "1x30" if "up{" in name else "0x30"} for name in series]
    loud = [{"series": name, "values": values} for name, values in series.items()]
    expected = [{"exp_labels": {"severity": severity, "instance": "a", **labels}}]

    for given, rings in ((loud, expected), (quiet, [])):
        path = tmp_path / "test.json"
        test = {
            "interval": "1m",
            "input_series": given,
            "alert_rule_test": [{"eval_time": "25m", "alertname": alert, "exp_alerts": rings}],
        }
        path.write_text(json.dumps({"rule_files": ["rules.json"], "tests": [test]}))
        done = subprocess.run(
            ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_alerts_are_on_metrics_that_there_are() -> None:
    used = used_names((ROOT / "deploy" / "alerts.yml").read_text())

    assert len(used) >= 6
    assert used <= told_names()


def test_the_labels_that_alerts_and_dashboard_name_are_there() -> None:
    labels = {name for one in metrics.EVERY for name in one.labels} | {"le", "instance", "job"}
    text = (ROOT / "deploy" / "alerts.yml").read_text() + (ROOT / "deploy" / "grafana.json").read_text()
    named = {word.strip() for group in re.findall(r"\bby \(([^)]*)\)", text) for word in group.split(",")}

    assert named <= labels
    assert {"route", "code", "queue"} <= named


def test_every_metric_is_in_the_page() -> None:
    page = (ROOT / "docs" / "observing.md").read_text()

    assert {name for name in told_names() if f"`{name}`" not in page} == set()
