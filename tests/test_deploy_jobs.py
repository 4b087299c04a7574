"""What deploy/ has for jobs and bulk work on many machines: whole, and about what there is."""

import ipaddress
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_deploy_files import (
    DEPLOY,
    KUBERNETES,
    OF_NO_PUBLIC_HOST,
    RESERVE_SECONDS,
    assert_valid,
    container,
    pod,
)

import remote_worker
from remote_worker import metrics
from remote_worker.bulk.status import Status
from remote_worker.cli import bulk_running, main
from remote_worker.engines import streams
from remote_worker.engines.engine import Kind
from remote_worker.settings import read as read_settings
from remote_worker.web.settings import WebSettings

FOLDER = DEPLOY / "kubernetes"
OF_OPERATORS = {"PodMonitor", "ScaledObject"}
"""Their schemas are not among those of Kubernetes."""


def things(name: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def one(name: str, kind: str) -> dict[str, Any]:
    """The one object of this kind in it."""
    (found,) = (thing for thing in things(name) if thing["kind"] == kind)
    return found


def template(name: str, kind: str) -> dict[str, Any]:
    """What its pods are."""
    spec = one(name, kind)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


PODS = [("jobs.yaml", "Deployment"), ("bulk.yaml", "Job")]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["jobs.yaml", "jobs-hpa.yaml", "bulk.yaml"])
def test_the_manifests_are_valid(name: str, version: str) -> None:
    of_kubernetes = [thing for thing in things(name) if thing["kind"] not in OF_OPERATORS]

    assert of_kubernetes
    assert_valid(of_kubernetes, version)


def test_every_manifest_is_looked_at_here_or_with_the_chart() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        *["remote-worker.yaml", "values.yaml", "jobs.yaml", "jobs-hpa.yaml", "jobs-keda.yaml", "bulk.yaml"]
    }


@pytest.mark.parametrize(("name", "kind"), PODS)
def test_pods_are_as_restricted_as_those_of_the_chart(name: str, kind: str) -> None:
    (own,) = template(name, kind)["containers"]

    assert template(name, kind)["securityContext"] == pod()["securityContext"]
    assert own["securityContext"] == container()["securityContext"]
    assert template(name, kind)["automountServiceAccountToken"] is False
    assert own["image"] == f"remote-worker:{remote_worker.__version__}"
    assert own["resources"]["limits"] == container()["resources"]["limits"]


@pytest.mark.parametrize(("name", "kind"), PODS)
def test_the_program_takes_what_pods_are_started_with(name: str, kind: str) -> None:
    (own,) = template(name, kind)["containers"]
    told = {row["name"]: row["value"] for row in own["env"]}
    files = dict.fromkeys({"REMOTE_KEYS_FILE", "REMOTE_SETTINGS_FILE"}, "")

    # What is in the Secret of the queue.
    secret = {"REMOTE_OPEN": "on", "REMOTE_ENGINE": "nats://nats:4222"} if kind == "Deployment" else {}
    settings = read_settings({**told, **files, **secret})

    assert settings.pool.children == int(own["resources"]["limits"]["cpu"])
    with pytest.raises(SystemExit) as ended:
        main([*own["args"], "--help"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main(["of-no-command", "--help"])
    assert ended.value.code != 0


def test_a_worker_has_the_time_that_its_stop_may_take() -> None:
    (own,) = template("jobs.yaml", "Deployment")["containers"]
    told = {row["name"]: row["value"] for row in own["env"]}
    waits = int(told["REMOTE_SHUTDOWN_SECONDS"]) + RESERVE_SECONDS

    assert template("jobs.yaml", "Deployment")["terminationGracePeriodSeconds"] >= waits


def test_everything_about_the_workers_finds_them() -> None:
    deployment = one("jobs.yaml", "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert one("jobs.yaml", "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        assert one("jobs.yaml", kind)["spec"]["selector"]["matchLabels"] == labels
    for name, kind in (("jobs-keda.yaml", "ScaledObject"), ("jobs-hpa.yaml", "HorizontalPodAutoscaler")):
        assert one(name, kind)["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    # The Service of the chart sends nobody to them.
    assert labels["app.kubernetes.io/name"] != "remote-worker"


def test_workers_reach_the_queue_name_servers_and_public_addresses_and_nothing_else() -> None:
    names, queue, public = one("jobs.yaml", "NetworkPolicy")["spec"]["egress"]
    ipv4, ipv6 = (peer["ipBlock"] for peer in public["to"])

    assert {port["port"] for port in names["ports"]} == {53}
    assert [port["port"] for port in queue["ports"]] == [4222]
    assert ipv4 == {"cidr": "0.0.0.0/0", "except": OF_NO_PUBLIC_HOST}
    assert ipv6 == {"cidr": "2000::/3"}


def test_keda_looks_at_the_queues_that_workers_work_off() -> None:
    """The fields are those of keda.sh/docs, "NATS JetStream"; every value there is text."""
    triggers = one("jobs-keda.yaml", "ScaledObject")["spec"]["triggers"]
    told = [trigger["metadata"] for trigger in triggers]

    assert {trigger["type"] for trigger in triggers} == {"nats-jetstream"}
    assert [row["stream"] for row in told] == [streams.stream_name(kind) for kind in (Kind.JOB, Kind.SHARD)]
    assert {row["consumer"] for row in told} == {streams.CONSUMER}
    for row in told:
        assert row.keys() == {
            *["natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"]
        }
        assert all(isinstance(value, str) for value in row.values())


def test_what_is_scaled_by_is_a_metric_of_the_worker() -> None:
    (row,) = one("jobs-hpa.yaml", "HorizontalPodAutoscaler")["spec"]["metrics"]
    metric = row["external"]["metric"]

    assert metric["name"] == metrics.UNITS_OLDEST.name
    assert metric["selector"]["matchLabels"] == {"kind": str(Kind.JOB)}


def test_shards_that_cannot_be_done_end_the_job_and_others_are_tried_again() -> None:
    spec = one("bulk.yaml", "Job")["spec"]
    gone, never = spec["podFailurePolicy"]["rules"]

    assert spec["completionMode"] == "Indexed"
    assert spec["backoffLimitPerIndex"] >= 2
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert (gone["action"], gone["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    # 78 is sysexits.h's EX_CONFIG.
    assert (never["action"], never["onExitCodes"]["values"]) == ("FailJob", [bulk_running.CANNOT, 78])
    assert bulk_running.NOT_FINISHED not in never["onExitCodes"]["values"]
    (own,) = spec["template"]["spec"]["containers"]
    assert never["onExitCodes"]["containerName"] == own["name"]
    assert bulk_running.INDEX in (FOLDER / "bulk.yaml").read_text()
    assert "shards" in {field.name for field in fields(Status)}  # As its head says, in `bulk status --json`.


# Compose.


@pytest.fixture
def composed() -> dict[str, Any]:
    """All of it."""
    whole = yaml.safe_load((DEPLOY / "compose-nats.yaml").read_text())
    assert isinstance(whole, dict)
    return whole


def test_in_compose_the_queue_is_inside_and_only_this_machine_is_let_in(composed: dict[str, Any]) -> None:
    services = composed["services"]

    assert composed["networks"] == {"inside": {"internal": True}}
    assert services["nats"]["networks"] == ["inside"]
    assert [name for name, service in services.items() if "ports" in service] == ["serve"]
    (port,) = services["serve"]["ports"]
    assert ipaddress.ip_address(port.split(":")[0]).is_loopback
    assert services["owner"]["network_mode"] == "none"


def test_in_compose_there_is_one_that_listens_and_two_that_work(composed: dict[str, Any]) -> None:
    serve, worker = composed["services"]["serve"], composed["services"]["worker"]

    assert "command" not in serve  # That of the image.
    assert worker["command"] == ["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert serve["environment"] == worker["environment"]
    settings = read_settings({**serve["environment"], "REMOTE_HOST": "0.0.0.0"})
    assert settings.jobs.jobs == "/var/lib/remote-worker/jobs"
    assert settings.jobs.jobs.startswith(serve["volumes"][0].partition(":")[2])
    web = WebSettings()
    assert serve["stop_grace_period"] == f"{web.drain_seconds + web.shutdown_seconds + RESERVE_SECONDS:g}s"


def test_in_compose_nobody_has_a_privilege_but_who_gives_the_volumes_away(composed: dict[str, Any]) -> None:
    services = composed["services"]

    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert (service["user"] == "10001:10001") == (name != "owner")
    assert [name for name, service in services.items() if "cap_add" in service] == ["owner"]
    given = {row.partition(":")[0] for row in services["owner"]["volumes"]}
    assert given == composed["volumes"].keys()


@pytest.mark.needs_nats
def test_the_server_takes_its_configuration(composed: dict[str, Any], tmp_path: Path) -> None:
    program = shutil.which("nats-server", path="/usr/local/bin:/usr/bin:/bin:/usr/sbin") or "nats-server"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    text = composed["configs"]["nats"]["content"].replace("/data", str(tmp_path))
    major, minor = re.findall(r"v(\d+)\.(\d+)", version)[0]
    if (int(major), int(minor)) < (2, 10):
        text = text.replace("sync_interval: always", "")  # The image is of a newer one.
    (tmp_path / "nats.conf").write_text(text)
    done = subprocess.run(
        [program, "-t", "-c", str(tmp_path / "nats.conf")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
