"""What deploy/ has for Docker, systemd, Kubernetes and nftables: whole, alike, and as the seal needs it."""

import ipaddress
import json
import os
import re
import shlex
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import trustme
import yaml
from runtimes import RUNTIMES
from test_stopping import serving, until
from web.keyrings import BEARER, one_key

import remote_worker
from benchmarks import processes
from remote_worker.fetch.settings import FetchSettings
from remote_worker.jail.privileges import FETCHER
from remote_worker.settings import TABLE, BadSettings
from remote_worker.settings import read as read_settings
from remote_worker.web.settings import WebSettings
from scripts.try_image import Step, read

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "remote-worker"
UNIT, SOCKET = DEPLOY / "remote-worker.service", DEPLOY / "remote-worker.socket"
MANIFESTS = DEPLOY / "kubernetes" / "remote-worker.yaml"
KUBERNETES = ("1.30", "1.37")
"""The oldest that is still served somewhere, and the newest whose schemas there are."""
OF_NO_PUBLIC_HOST = [
    # RFC 1122, 1918, 6598, 3927, 2544, and multicast with what is reserved behind it.
    *["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
    *["192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"],
]
RESERVE_SECONDS = 5
"""What docs/operating.md adds to both waits of a stop, before whoever waits may kill."""


# The image.


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return read(DEPLOY / "Dockerfile")


def words(steps: list[Step], name: str) -> list[str]:
    """What is behind each instruction of this name."""
    return [step.text for step in steps if step.name == name]


def test_the_image_has_a_stage_that_builds_and_one_that_runs_from_one_base(steps: list[Step]) -> None:
    assert words(steps, "FROM") == ["${BASE} AS builder", "${BASE}"]
    assert words(steps, "ARG")[0].startswith("BASE=python:3.")
    assert "ADD" not in {step.name for step in steps}


def test_what_is_copied_is_there_and_reaches_the_build(steps: list[Step]) -> None:
    let_through = {
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for text in words(steps, "COPY")
        if not text.startswith("--from")
        for source in shlex.split(text)[:-1]
    ]

    assert len(copied) >= 8
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if not any(Path(source).match(name) for name in let_through)] == []


def test_every_lock_that_setting_up_reads_is_in_the_build(steps: list[Step]) -> None:
    from scripts.environment import LOCKS

    assert set(LOCKS.values()) <= set(" ".join(words(steps, "COPY")).split())


def test_the_image_runs_as_nobody_of_the_machine_and_stops_as_the_worker_does(steps: list[Step]) -> None:
    last = steps[max(number for number, step in enumerate(steps) if step.name == "FROM") :]

    assert words(last, "USER") == ["10001:10001"]
    assert words(last, "STOPSIGNAL") == ["SIGTERM"]
    # The form without a shell, which would not pass the signal on.
    assert json.loads(words(last, "ENTRYPOINT")[0]) == ["remote-worker"]
    assert json.loads(words(last, "CMD")[0]) == ["serve"]
    assert [name for text in words(last, "RUN") for name in (text,)] == []


def test_files_of_the_image_are_read_by_its_user_whoever_may_read_them_in_the_checkout(
    steps: list[Step], tmp_path: Path
) -> None:
    ends = [number for number, step in enumerate(steps) if step.name == "FROM"]
    copies = [(number, step.text) for number, step in enumerate(steps) if step.name == "COPY"]
    (command,) = words(steps[: ends[1]], "RUN")
    last = command.rpartition(" && ")[2]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "module.py").touch()
    (tmp_path / "src" / "module.py").chmod(0o600)
    (tmp_path / "src").chmod(0o700)
    subprocess.run(["sh", "-c", last], cwd=tmp_path, check=True)

    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("src", "src/module.py")] == [
        0o755,
        0o644,
    ]
    # Nothing comes by another way.
    assert [text.startswith("--from=builder ") for number, text in copies if number > ends[1]] == [True]
    assert max(number for number, _ in copies if number < ends[1]) < steps.index(Step("RUN", command))


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({"REMOTE_TLS_CLIENT_CA": "ca.pem"}, 1),  # It answers who has none, too: 503.
        ({"REMOTE_TLS_CLIENT_CA": "ca.pem", "REMOTE_TLS_CLIENT_REQUIRED": "On"}, 0),
    ],
)
@pytest.mark.parametrize("is_in_file", [False, True], ids=["environment", "settings file"])
def test_health_is_asked_for_unless_only_certificates_are_answered(
    tmp_path: Path, variables: dict[str, str], status: int, is_in_file: bool
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("worker.example").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told = {"REMOTE_PORT": str(server.server_port), "REMOTE_TLS_CERT": "cert.pem", **variables}
        if is_in_file:
            lines = [f"{name.removeprefix('REMOTE_').lower()} = {value!r}" for name, value in told.items()]
            file = tmp_path / "settings.toml"
            file.write_text("\n".join(lines).replace("'On'", "true") + "\nconnections = 8\n")
            told = {"REMOTE_SETTINGS_FILE": str(file)}
        done = subprocess.run(
            [sys.executable, "-I", str(DEPLOY / "healthcheck.py")],
            env=told,
            capture_output=True,
            text=True,
            check=False,
        )
        server.shutdown()
        thread.join()

    assert (done.returncode, done.stdout[:3]) == (status, "503" if status else "")


# All of them.


def deployed() -> Iterator[Path]:
    """Every file that is deployed by."""
    return (path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {row.name for row in TABLE}
    named = {
        (name, path.name)
        for path in deployed()
        for name in re.findall(r"\bREMOTE_[A-Z0-9_]*[A-Z0-9]\b", path.read_text())
    }

    assert {pair for pair in named if pair[0] not in known} == set()


def test_whoever_kills_waits_as_long_as_a_stop_may_take() -> None:
    web = WebSettings()
    by_default = web.drain_seconds + web.shutdown_seconds + RESERVE_SECONDS

    assert compose()["stop_grace_period"] == f"{by_default:g}s"
    assert unit()["TimeoutStopSec"] == [f"{by_default:g}"]
    assert unit()["KillMode"] == ["mixed"]
    environment = {row["name"]: row.get("value") for row in container()["env"]}
    waits = int(environment["REMOTE_DRAIN_SECONDS"]) + int(environment["REMOTE_SHUTDOWN_SECONDS"])
    assert pod()["terminationGracePeriodSeconds"] == waits + RESERVE_SECONDS


def test_there_are_descriptors_for_all_connections_and_fetches() -> None:
    wanted = 3 * WebSettings().connections + FetchSettings().fetches

    assert compose()["ulimits"]["nofile"] > wanted
    assert int(unit()["LimitNOFILE"][0]) > wanted


SMALL = {"REMOTE_CHILDREN": "1", "REMOTE_READY": "1", "REMOTE_TEXT_CHILDREN": "1"}


@contextmanager
def folder_of_the_runtime() -> Iterator[Path]:
    """A folder whose files a process of another user finds by their names, as in a volume."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def lend(file: Path) -> None:
    """Give it as a volume with fsGroup and defaultMode 0440 does: root's, lent to the process's group."""
    if os.geteuid() == 0:
        os.chown(file, 0, RUNTIMES["kubernetes"].uid)
    file.chmod(0o440 if os.geteuid() == 0 else 0o400)


def certificate(folder: Path) -> dict[str, str]:
    """The settings of a worker with a certificate of its own name."""
    issued = trustme.CA().issue_cert("worker.example")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    lend(folder / "key.pem")
    return {"REMOTE_TLS_CERT": str(folder / "cert.pem"), "REMOTE_TLS_KEY": str(folder / "key.pem")}


# Compose.


def compose() -> dict[str, Any]:
    """The one service."""
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert isinstance(service, dict)
    return service


def test_compose_gives_no_privilege_and_nothing_to_write_but_a_small_tmp() -> None:
    service = compose()
    folder, _, options = service["tmpfs"][0].partition(":")

    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert (len(service["tmpfs"]), folder) == (1, "/tmp")
    assert {"noexec", "nosuid", "nodev"} <= set(options.split(","))
    assert service["pids_limit"] < 8192
    assert service["mem_limit"] == service["memswap_limit"]


def test_compose_lets_only_this_machine_in_while_anyone_may_call() -> None:
    service = compose()

    assert service["environment"]["REMOTE_OPEN"] == "1"
    assert [ipaddress.ip_address(port.split(":")[0]).is_loopback for port in service["ports"]] == [True]
    build = service["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the profiles are those of x86-64")
@pytest.mark.parametrize("speaks_tls", [False, True], ids=["plain", "tls"])
def test_a_worker_under_what_compose_sets_is_healthy_and_stops_well(speaks_tls: bool) -> None:
    """`runtimes` has the same: another user, no capability, no_new_privs, a root that is read-only."""
    health = shlex.join([sys.executable, "-I", str(DEPLOY / "healthcheck.py")])
    # In one shell, since the network is its own.
    script = f"""
        {health} && exit 3
        {sys.executable} -m remote_worker serve & worker=$!
        for _ in $(seq 200); do said=$({health}) && break; sleep 0.05; done
        {health} || exit 4
        touch /usr/is-written 2>/dev/null && exit 5
        kill -TERM $worker; wait $worker
    """
    launcher = ROOT / "tests" / "runtimes.py"
    with folder_of_the_runtime() as folder:
        done = subprocess.run(
            [sys.executable, str(launcher), "kubernetes", "sh", "-c", script],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "src"),
                **compose()["environment"],
                "REMOTE_HOST": "0.0.0.0",
                "REMOTE_PORT": "5000",
                **SMALL,
                **(certificate(folder) if speaks_tls else {}),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no answer" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="a space of processes of its own is root's to make")
def test_as_the_first_process_of_a_container_a_worker_leaves_nothing_dead_behind(tmp_path: Path) -> None:
    under = (sys.executable, str(ROOT / "tests" / "runtimes.py"), "kubernetes")
    few = {"REMOTE_CHILDREN": "1", "REMOTE_READY": "2", "REMOTE_TEXT_CHILDREN": "1"}
    with serving(tmp_path / "log", run=under, **few) as worker:
        (first,) = processes.children(worker.process.pid)
        before = set(worker.tree())
        for template in processes.children(first):
            os.kill(template, signal.SIGKILL)
        until(lambda: len(set(worker.tree()) - before) >= 5)  # Templates, what fetches, and those that wait.
        until(lambda: "Z" not in map(processes.state, worker.tree()))
        inside = Path(f"/proc/{first}/status").read_text()
        os.kill(first, signal.SIGTERM)
        assert worker.process.wait(30) == 0

    # Its number outside and inside.
    assert re.findall(r"^NSpid:\s+\d+\s+(\d+)$", inside, re.M) == ["1"]


# systemd.


def unit(file: Path = UNIT) -> dict[str, list[str]]:
    """Each directive with its values."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_lets_the_seal_come_up_and_gives_no_privilege() -> None:
    """What `tests/attacks/test_runtimes.py` has the seal come up under, as `systemd`."""
    calls = set(unit()["SystemCallFilter"][0].split())
    landlock = {f"landlock_{call}" for call in ("create_ruleset", "add_rule", "restrict_self")}
    switches = (
        "NoNewPrivileges MemoryDenyWriteExecute RestrictNamespaces LockPersonality DynamicUser PrivateTmp"
    )

    assert {"@system-service", "seccomp", *landlock} == calls
    assert unit()["CapabilityBoundingSet"] == [""]
    assert [name for name in switches.split() if unit()[name] != ["yes"]] == []
    assert unit()["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert unit()["ProtectSystem"] == ["strict"]


def test_a_start_that_cannot_succeed_is_not_tried_again() -> None:
    from remote_worker.cli import CANNOT_START

    assert unit()["RestartPreventExitStatus"] == [str(CANNOT_START)]


def test_the_socket_holds_what_the_worker_would_listen_on() -> None:
    web = WebSettings()

    assert unit(SOCKET)["ListenStream"] == [f"{web.host}:{web.port}"]
    assert unit()["Requires"] == [SOCKET.name]
    assert unit()["Also"] == [SOCKET.name]


def test_the_units_networks_are_those_that_are_not_public() -> None:
    # localhost, link-local and multicast are words of systemd.resource-control(5).
    said = set(unit()["IPAddressDeny"][0].split())
    worded = {"127.0.0.0/8", "169.254.0.0/16"}
    # 0.0.0.0/8 and what lies past 224.0.0.0 cannot be dialled by TCP; nobody routes 198.18.0.0/15.
    assert {"localhost", "link-local", "multicast"} <= said
    assert set(OF_NO_PUBLIC_HOST) - worded - {"0.0.0.0/8", "224.0.0.0/3", "198.18.0.0/15"} <= said


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, for a program that is there."""
    for file in (UNIT, SOCKET):
        text = file.read_text().replace("/opt/remote-worker/.venv/bin/remote-worker", "/bin/true")
        (tmp_path / file.name).write_text(text)
    return [str(tmp_path / file.name) for file in (UNIT, SOCKET)]


@pytest.mark.needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs_systemd
def test_systemd_finds_little_exposed(units: list[str]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", units[0]],
        capture_output=True,
        text=True,
        check=False,
    )

    # 2.0 of 10, of which the Internet is 0.8 and all that is left for a service of the network.
    assert done.returncode == 0, done.stdout


# Kubernetes.


def objects() -> list[dict[str, Any]]:
    """What is checked in."""
    return list(yaml.safe_load_all(MANIFESTS.read_text()))


def one(kind: str) -> dict[str, Any]:
    """The one object of this kind."""
    (found,) = (thing for thing in objects() if thing["kind"] == kind)
    return found


def pod() -> dict[str, Any]:
    """What its pods are."""
    spec = one("Deployment")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container() -> dict[str, Any]:
    """The one of its pods."""
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def assert_valid(things: list[dict[str, Any]], version: str) -> None:
    """Each is as Kubernetes' schemas say. The Prometheus operator's are not among them."""
    for thing in things:
        if thing["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(thing, version, strict=True)


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_valid(version: str) -> None:
    kinds = {thing["kind"] for thing in objects()}

    assert_valid(objects(), version)
    assert kinds == {
        *["Deployment", "Service", "ServiceAccount", "ConfigMap", "HorizontalPodAutoscaler"],
        *["PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"],
    }


def test_a_manifest_with_an_unknown_field_is_not_valid() -> None:
    wrong = one("Service")
    wrong["spec"]["tpye"] = "ClusterIP"

    with pytest.raises(kubernetes_validate.ValidationError):
        assert_valid([wrong], KUBERNETES[0])


def test_a_pod_is_restricted_as_the_pod_security_standard_asks() -> None:
    """kubernetes.io/docs/concepts/security/pod-security-standards, "restricted", and a read-only root."""
    whole, own = pod()["securityContext"], container()["securityContext"]

    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] == 10001
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(set(volume) - {"name"})) for volume in pod()["volumes"]} <= {
        *["configMap", "emptyDir", "secret"]
    }
    assert pod()["automountServiceAccountToken"] is False


def test_what_a_pod_is_told_is_taken_by_the_worker() -> None:
    told = {row["name"]: row["value"] for row in container()["env"]}
    files = {"REMOTE_KEYS_FILE", "REMOTE_SETTINGS_FILE"}

    settings = read_settings({**told, **dict.fromkeys(files, ""), "REMOTE_OPEN": "on"})
    with pytest.raises(BadSettings, match="REMOTE_METRICS_OPEN"):
        read_settings({**told, **dict.fromkeys(files, ""), "REMOTE_OPEN": "on", "REMOTE_METRICS_OPEN": ""})

    assert settings.telemetry.metrics.port == next(
        port["containerPort"] for port in container()["ports"] if port["name"] == "metrics"
    )


def test_the_job_of_every_release_is_the_one_that_the_alerts_are_about() -> None:
    label = one("ServiceMonitor")["spec"]["jobLabel"]
    jobs = set(re.findall(r'job="([^"]+)"', (DEPLOY / "alerts.yml").read_text()))

    assert {one("Service")["metadata"]["labels"][label]} == jobs


def test_probes_ask_what_is_open_and_by_a_name_that_is_known() -> None:
    probes = {kind: container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}

    assert [probes[kind]["path"] for kind in probes] == ["/livez", "/livez", "/readyz"]
    assert [probe["httpHeaders"] for probe in probes.values()] == [
        [{"name": "Host", "value": "localhost"}]
    ] * 3
    assert {probe["port"] for probe in probes.values()} == {"http"}


ASK = """
import http.client, json, sys, time
for port, path, headers, expected in json.loads(sys.argv[1]):
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.putrequest("GET", path, skip_host=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            status = connection.getresponse().status
        except OSError:
            time.sleep(0.05)
            continue
        if status != 503:
            break
        time.sleep(0.05)
    else:
        sys.exit("no answer: " + path)
    assert status == expected, (path, headers, status)
print("as expected")
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the profiles are those of x86-64")
def test_a_worker_under_what_the_chart_sets_answers_its_probes_and_who_has_a_key() -> None:
    environment = {row["name"]: row["value"] for row in container()["env"]}
    probes = [container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    asked = [
        (5000, probe["path"], {row["name"]: row["value"] for row in probe["httpHeaders"]}, 200)
        for probe in probes
    ]
    # A probe of a load balancer, and Prometheus, come by the pod's address.
    asked += [
        (5000, "/readyz", {"Host": "10.1.2.3:5000"}, 200),
        (9100, "/metrics", {"Host": "10.1.2.3:9100"}, 200),
        (5000, "/capabilities", {"Host": "remote-worker:5000"}, 401),
        (5000, "/capabilities", {"Host": "remote-worker:5000", "Authorization": f"Bearer {BEARER}"}, 200),
    ]
    with folder_of_the_runtime() as folder:
        (folder / "keys.toml").write_text(one_key())
        (folder / "settings.toml").write_text(one("ConfigMap")["data"]["settings.toml"])
        for file in folder.iterdir():
            lend(file)
        environment["REMOTE_DRAIN_SECONDS"] = "0"  # No load balancer is waited for here.
        environment["REMOTE_KEYS_FILE"] = str(folder / "keys.toml")
        environment["REMOTE_SETTINGS_FILE"] = str(folder / "settings.toml")
        ask = shlex.join([sys.executable, "-I", "-c", ASK, json.dumps(asked)])
        script = f"""
            {sys.executable} -m remote_worker serve & worker=$!
            {ask}; as_expected=$?
            kill -TERM $worker; wait $worker && exit $as_expected
        """
        launcher = ROOT / "tests" / "runtimes.py"
        done = subprocess.run(
            [sys.executable, str(launcher), "kubernetes", "sh", "-c", script],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **environment, **SMALL},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "as expected" in done.stdout


def test_everything_finds_the_pods() -> None:
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    service = one("Service")
    ports = {port["name"] for port in container()["ports"]}

    for kind in ("Deployment", "PodDisruptionBudget"):
        assert one(kind)["spec"]["selector"]["matchLabels"].items() <= labels
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports
    monitor = one("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= {
        port["name"] for port in service["spec"]["ports"]
    }
    target = one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", one("Deployment")["metadata"]["name"])


def test_the_policy_lets_public_addresses_and_name_servers_be_reached_and_nothing_else() -> None:
    names, public = one("NetworkPolicy")["spec"]["egress"]
    ipv4, ipv6 = (peer["ipBlock"] for peer in public["to"])

    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert ipv4 == {"cidr": "0.0.0.0/0", "except": OF_NO_PUBLIC_HOST}
    assert ipv6 == {"cidr": "2000::/3"}
    assert [port["port"] for port in public["ports"]] == list(FetchSettings().egress_ports)


def test_the_charts_values_are_as_its_schema_says() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    jsonschema.validate(values, schema)
    assert schema["properties"].keys() - {"global"} == values.keys()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values, "relpicas": 2}, schema)


def test_the_chart_and_the_manifests_are_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == remote_worker.__version__
    assert container()["image"] == f"remote-worker:{remote_worker.__version__}"
    settings = tomllib.loads(one("ConfigMap")["data"]["settings.toml"])
    assert {f"REMOTE_{name.upper()}" for name in settings} <= {row.name for row in TABLE}


@pytest.mark.needs_helm
def test_the_manifests_are_what_the_chart_gives_today(tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    subprocess.run([str(ROOT / "scripts" / "make-manifests"), str(made)], check=True)

    assert made.read_text() == MANIFESTS.read_text()


def rendered(*values: str) -> "subprocess.CompletedProcess[str]":
    """What helm makes of the chart with these values."""
    sets = [word for value in values for word in ("--set", value)]
    return subprocess.run(
        ["helm", "template", "a", str(CHART), "--kube-version", f"{KUBERNETES[1]}.0", *sets],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.needs_helm
@pytest.mark.parametrize(
    "values",
    [
        ["open=true"],
        ["keys.text=[keys.app]", "settings=connections = 8", "autoscaling.queueDepth=4"],
        ["open=true", "metrics.enabled=false", "networkPolicy.enabled=false", "autoscaling.enabled=false"],
        ["open=true", "environment.REMOTE_CONNECTIONS=512", "networkPolicy.except={198.51.100.0/24}"],
    ],
)
def test_the_chart_gives_valid_objects_for_other_values(values: list[str]) -> None:
    done = rendered(*values)

    assert done.returncode == 0, done.stderr
    assert_valid([thing for thing in yaml.safe_load_all(done.stdout) if thing], KUBERNETES[1])


@pytest.mark.needs_helm
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "say who may call"),
        (["open=true", "relpicas=2"], "relpicas"),
        (["open=true", "children=0"], "children"),
        (["open=true", "metrics.port=5000"], "port"),
        (["open=true", "environment.REMOTE_PORT=6000"], "REMOTE_PORT"),
    ],
)
def test_the_chart_refuses_what_could_not_start(values: list[str], said: str) -> None:
    done = rendered(*values)

    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.needs_helm
def test_what_a_values_file_says_reaches_the_worker_as_it_stands_there(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "open: true\n"
        "environment: {REMOTE_BODIES_BYTES: 536870912, REMOTE_WORK_SECONDS: 2.5, REMOTE_READY: 8,\n"
        "  REMOTE_ONLY_PRESETS: true}\n"
        'settings: "\\n  # Presets\\nconnections = 8\\n"\n'
    )
    command = ["helm", "template", "a", str(CHART), "--kube-version", f"{KUBERNETES[1]}.0"]
    done = subprocess.run([*command, "--values", str(values)], capture_output=True, check=True)
    things = {thing["kind"]: thing for thing in yaml.safe_load_all(done.stdout) if thing}
    (told,) = things["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {row["name"]: row["value"] for row in told["env"]}

    assert len(variables) == len(told["env"])
    assert (variables["REMOTE_READY"], variables["REMOTE_CHILDREN"]) == ("8", "2")
    assert variables["REMOTE_BODIES_BYTES"] == "536870912"
    assert variables["REMOTE_WORK_SECONDS"] == "2.5"
    assert variables["REMOTE_ONLY_PRESETS"] == "true"
    assert things["ConfigMap"]["data"]["settings.toml"] == "\n  # Presets\nconnections = 8\n"


# nftables.


def test_the_firewall_is_for_the_user_that_fetches_and_knows_the_same_networks() -> None:
    text = (DEPLOY / "firewall.nft").read_text()
    (listed,) = re.findall(r"ip daddr \{ ([^}]+) \} counter reject", text)

    assert re.findall(r"meta skuid != (\d+) accept", text) == [str(FETCHER)]
    assert listed.split(", ") == OF_NO_PUBLIC_HOST


@pytest.mark.needs_nft
def test_the_kernel_takes_the_firewall() -> None:
    command = ["unshare", "--net", "nft", "--check", "--file", str(DEPLOY / "firewall.nft")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )

    assert (done.returncode, done.stderr) == (0, "")
