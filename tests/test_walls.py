"""The walls at run time: what a process has loaded after importing a part, dynamic imports and all."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
HOST = (
    *(
        "asgi",
        "cli",
        "settings",
        "telemetry",
        "metrics",
        "tracing",
        "reporting",
        "isolated",
        "locking",
        "wiring",
    ),
    *("contract", "pool", "service", "web"),
    *("stores", "engines", "jobs", "bulk", "wiring_jobs"),
)
JAILED = ("contract", "jail", "decoder")
IMAGE_LIBRARIES = {
    "PIL",
    "pillow_heif",
    "_pillow_heif",
    "pillow_jxl",
    "resvg_py",
    "isal",
    "cykooz_resizer",
    "numpy",
}
FETCHING_HOST = (
    "fetch/door",
    "fetch/messages",
    "fetch/outcomes",
    "fetch/policy",
    "fetch/running",
    "fetch/settings",
    "fetch/sharing",
    "fetch/url",
)
PARSERS = {"cmarkgfm", "nh3", "maxminddb"}
REPORTING = {"opentelemetry", "sentry_sdk", "prometheus_client"}
"""Libraries that dial what the operator names, or bring what could: loaded by name, when that is wanted."""
DIALLING_BY_THEMSELVES = {
    "aiohttp",
    "httpx",
    "requests",
    "urllib3",
    "httpcore",
    "h2",
    "urllib.request",
    "http.client",
}
DIALLING = {"dns", "aiohttp", "httpx", "requests", "urllib3", "httpcore", *REPORTING}
"""Libraries that ask others; `ssl` is loaded by asyncio."""
STANDARD_CLIENTS = {"ftplib", "imaplib", "poplib", "smtplib", "telnetlib", "xmlrpc.client", "nntplib"}
ASKING = set(
    """
    connect connect_ex create_connection create_datagram_endpoint create_unix_connection open_connection
    open_unix_connection sock_connect sock_sendto sendto getaddrinfo getnameinfo gethostbyname
    gethostbyname_ex gethostbyaddr getfqdn urlopen
    """.split()
)
"""Names of what opens a connection, sends to an address or looks up a name."""
NETWORK = {
    "asyncio",
    "http",
    "ssl",
    "_ssl",
    "socket",
    "urllib.request",
    "multiprocessing",
    "starlette",
    "uvicorn",
    "httptools",
    "multipart",
}


TEXT_LIBRARIES = {"cmarkgfm", "nh3", "webencodings"}
READY = (
    "from dataclasses import asdict\n"
    "from remote_worker.contract.control import Hello\n"
    "from remote_worker.contract.limits import Limits\n"
    "from remote_worker.decoder import {trade}\n"
    "{trade}.get_ready(Hello(template={template!r}, limits=asdict(Limits())))\n"
)


def modules_of(part: str) -> list[str]:
    """Every module of a part, by its dotted name."""
    root = SOURCE / "remote_worker" / part
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root.with_suffix(".py")]
    names = [".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def loaded_after(*modules: str) -> set[str]:
    """The names in sys.modules of a fresh, isolated interpreter that imported these."""
    return loaded_by(f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n")


def loaded_by(lines: str) -> set[str]:
    """The names in sys.modules of a fresh, isolated interpreter that ran these lines."""
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "before = set(sys.modules)\n"
        f"{lines}"
        "import json; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_every_part_is_on_one_side_of_the_walls() -> None:
    parts = {
        path.stem
        for path in (SOURCE / "remote_worker").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }

    # `__main__` calls `cli` when it is loaded; `fetch` has a part on the host's side and a process.
    assert parts == {*HOST, *JAILED, "client", "fetch", "__main__", "__init__"}


@pytest.mark.parametrize("part", HOST)
def test_a_part_of_the_host_loads_neither_decoder_nor_image_library(part: str) -> None:
    loaded = loaded_after(*modules_of(part))

    assert "remote_worker" in loaded
    assert not {name for name in loaded if name.startswith(("remote_worker.decoder", "remote_worker.jail"))}
    assert not {name for name in loaded if name.partition(".")[0] in IMAGE_LIBRARIES}


@pytest.mark.parametrize("part", [*HOST, *FETCHING_HOST])
def test_a_part_of_the_host_loads_nothing_that_dials_for_it(part: str) -> None:
    loaded = loaded_after(*modules_of(part))

    assert "remote_worker" in loaded
    elsewhere = ("remote_worker.fetch.process", "remote_worker.jail", "remote_worker.client")
    assert not {name for name in loaded if name.startswith(elsewhere)}
    assert not {name for name in loaded if name.partition(".")[0] in DIALLING}


def test_the_client_loads_nothing_of_the_worker_and_no_web_framework() -> None:
    loaded = loaded_after(*modules_of("client"))
    ours = {name.split(".")[1] for name in loaded if name.startswith("remote_worker.")}

    assert "httpx" in loaded
    assert ours == {"client"}
    assert not packages(loaded) & {"starlette", "uvicorn", "httptools", "multipart"}
    assert not packages(loaded) & (IMAGE_LIBRARIES | PARSERS)


def test_no_source_of_the_host_reaches_for_the_network_besides_listening() -> None:
    # The client runs in other programs: above, no part of the worker loads httpx, and so not the client.
    elsewhere = [SOURCE / "remote_worker" / folder for folder in ("fetch/process", "client")]
    reaching = {
        f"{file.relative_to(SOURCE)}: {name}"
        for file in (SOURCE / "remote_worker").rglob("*.py")
        if not any(file.is_relative_to(folder) for folder in elsewhere)
        for name in reached(file.read_text())
    }

    assert reaching == {
        "remote_worker/service/cache_file.py: connect",  # sqlite3's
        "remote_worker/engines/local_file.py: connect",  # sqlite3's
        "remote_worker/engines/nats.py: connect",  # To the servers that the operator names.
        "remote_worker/cli/top.py: http.client",  # Of the worker that its user names; never in a worker.
    }


def test_only_those_who_report_load_what_reports() -> None:
    loading = {
        f"{file.relative_to(SOURCE)}: {name}"
        for file in (SOURCE / "remote_worker").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in REPORTING
        if re.fullmatch(rf"{name}(\.[a-z_.]+)?", node.value)
    }

    assert loading == {
        "remote_worker/tracing.py: opentelemetry",
        "remote_worker/reporting.py: sentry_sdk",
        "remote_worker/web/scrape.py: prometheus_client",
    }


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("socket.create_connection(spot)", "create_connection"),
        ("from socket import getaddrinfo", "getaddrinfo"),
        ("import urllib.request", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("import http.client as client", "http.client"),
        ("asyncio.open_connection('h', 1)", "open_connection"),
        ("one.connect_ex(spot)", "connect_ex"),
        ("import dns.resolver", "dns.resolver"),
    ],
)
def test_the_probe_sees_what_reaches_for_the_network(line: str, name: str) -> None:
    assert reached(line) == {name}
    assert reached("from urllib.parse import quote\nasyncio.start_server(serve)\nvalue.connected()") == set()


def reached(source: str) -> set[str]:
    """The calls and the modules in it that ask others."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute | ast.Name):
            found |= {node.attr if isinstance(node, ast.Attribute) else node.id} & ASKING
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if asks(name.name)}
        elif isinstance(node, ast.ImportFrom):
            names = {name.name for name in node.names}
            found |= names & ASKING
            found |= {full for name in names if asks(full := f"{node.module}.{name}") and not node.level}
    return found


def asks(module: str) -> bool:
    return module in DIALLING_BY_THEMSELVES | STANDARD_CLIENTS or module.partition(".")[0] in DIALLING


def test_the_process_that_fetches_loads_no_pictures_and_no_rest_of_the_host() -> None:
    loaded = loaded_after(*modules_of("fetch/process"))
    ours = {name.split(".")[1] for name in loaded if name.startswith("remote_worker.")}

    assert {"ssl", "dns"} <= loaded
    assert ours == {"contract", "fetch", "jail", "telemetry"}
    assert not {name for name in loaded if name.partition(".")[0] in IMAGE_LIBRARIES | PARSERS}
    assert not loaded & (DIALLING_BY_THEMSELVES | {"starlette", "uvicorn", "multipart"})


@pytest.mark.parametrize("part", JAILED)
def test_a_part_of_the_jail_loads_nothing_that_could_use_the_network(part: str) -> None:
    loaded = loaded_after(*modules_of(part))

    assert "remote_worker" in loaded
    assert loaded & NETWORK == set()


def test_the_template_loads_no_more_of_the_project_than_jail_decoder_and_contract() -> None:
    loaded = {name for name in loaded_after(*modules_of("decoder")) if name.startswith("remote_worker.")}

    assert {name.split(".")[1] for name in loaded} == {"contract", "decoder", "jail"}


def test_the_template_for_text_loads_no_image_library_and_those_for_pictures_no_parser() -> None:
    for_text = packages(loaded_by(READY.format(trade="reader", template="text")))
    for_pictures = packages(loaded_by(READY.format(trade="pictures", template="raster")))

    assert for_text & IMAGE_LIBRARIES == set()
    assert {"cmarkgfm", "nh3"} <= for_text
    assert for_pictures & TEXT_LIBRARIES == set()
    assert "PIL" in for_pictures


def test_the_root_package_loads_nothing() -> None:
    ours = {name for name in loaded_after("remote_worker") if name.startswith("remote_worker")}
    nothing = loaded_after()

    assert ours == {"remote_worker"}
    assert loaded_after("remote_worker") - nothing == ours


def test_the_probe_sees_a_wall_that_is_broken() -> None:
    assert "asyncio" in loaded_after("asyncio")
    assert "PIL" in loaded_after("PIL.Image")
