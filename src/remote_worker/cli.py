"""The command line: serve, do one image or link, tell what this machine can do and which settings hold."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import platform
import re
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from . import __version__, telemetry, wiring
from .contract.document import Document
from .contract.failures import FailureCode, WorkFailed
from .contract.formats import OFF, OK
from .contract.limits import LONGEST_SIDE
from .contract.messages import OUTPUT_FORMATS, Fit, Picture
from .fetch.door import DoorFailed
from .pool.pool import Pool
from .pool.template import TemplateFailed
from .service.cache_file import CacheUnusable
from .service.images import Images
from .service.network import KINDS, Answered
from .settings import BadSettings, Settings, effective, read
from .telemetry import Event
from .web import server
from .web.app import create_app
from .web.listening import CannotListen, handed_over

FAILED = 1
CANNOT_START = 78
"""EX_CONFIG of sysexits.h: a setting is wrong, or a layer of the seal cannot be put up."""

SAMPLES = Path(__file__).parent / "decoder" / "samples"
"""Our own pictures of every format."""

IMAGE_PACKAGES = ("pillow", "pillow-heif", "pillow-jxl-plugin", "resvg_py", "isal", "cykooz-resizer")
"""What meets strangers' pictures, in the jail."""
TEXT_PACKAGES = ("cmarkgfm", "nh3", "webencodings")
"""What meets strangers' pages and posts, in the jail."""
FETCH_PACKAGES = ("ada-url", "dnspython", "publicsuffixlist")
"""What meets strangers' URLs, in the host as well, and name servers."""

FORMATS_BY_SUFFIX = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".apng": "png",
    ".webp": "webp",
    ".avif": "avif",
    ".gif": "gif",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jp2": "jp2",
    ".jxl": "jxl",
}
"""What an output file's name asks for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status."""
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        return _complain(
            "the seal needs the Linux kernel: use a container, as CONTRIBUTING.md shows", CANNOT_START
        )
    try:
        settings = read(_environment(options))
        return _COMMANDS[options.command](options, settings)
    except BadSettings as bad:
        return _complain("\n".join(bad.problems), CANNOT_START)
    except (TemplateFailed, DoorFailed, CacheUnusable, CannotListen) as failed:
        return _complain(str(failed), CANNOT_START)
    except KeyboardInterrupt:
        return 130
    except WorkFailed as failed:
        return _complain(f"{failed.code}: {failed.detail}" if failed.detail else failed.code, FAILED)
    except OSError as failed:
        return _complain(str(failed), FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="remote-worker",
        description="Decodes strangers' pictures, and looks at strangers' pages, in sealed processes.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    serve = commands.add_parser("serve", help="serve HTTP until stopped")
    serve.add_argument("--host", help="address to listen on, instead of REMOTE_HOST")
    serve.add_argument("--port", help="port to listen on, instead of REMOTE_PORT")

    run = commands.add_parser("run", help="do one image, sealed as the server does it")
    tasks = run.add_subparsers(dest="task", required=True, metavar="task")
    fit = tasks.add_parser("fit", help="scale down into a box; the output's extension picks the format")
    fit.add_argument("box", type=_box, help="800 or 800x600")
    fit.add_argument("input", type=Path)
    fit.add_argument("output", type=_output)
    fit.add_argument("--quality", type=_quality, help="1 to 100")
    fit.add_argument("--animated", action="store_true", help="keep all frames")
    avatars = tasks.add_parser("avatars", help="write avatar24.png and so on")
    avatars.add_argument("input", type=Path)
    avatars.add_argument("directory", type=Path)
    avatars.add_argument("--animated", action="store_true", help="keep all frames")
    prepare = tasks.add_parser("prepare", help="make a JPEG upright and free of metadata")
    prepare.add_argument("input", type=Path)
    prepare.add_argument("output", type=Path)
    prepare.add_argument("--keep-metadata", action="store_true", help="take away the location only")
    info = tasks.add_parser("info", help="print what the header says, as JSON")
    info.add_argument("input", type=Path)

    preview = commands.add_parser("preview", help="say what a page is, as /links/preview does it")
    preview.add_argument("url")
    preview.add_argument("--force", action="store_true", help="fetch it even if it seems to work only once")
    preview.add_argument("--explain", action="store_true", help="with each hop, its addresses and times")
    preview.add_argument("--json", action="store_true", help="print everything, as JSON")

    resolve = commands.add_parser("resolve", help="ask name servers, as /dns/resolve does it")
    resolve.add_argument("name")
    resolve.add_argument("--type", default=KINDS[0], help=f"one of {', '.join(KINDS)} (default: {KINDS[0]})")

    commands.add_parser("doctor", help="try the kernel, the seal and every format")
    commands.add_parser("settings", help="print the settings in effect, secrets masked")
    return parser


def _box(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    return _whole(width, LONGEST_SIDE), _whole(height if cross else width, LONGEST_SIDE)


def _quality(text: str) -> int:
    return _whole(text, 100)


def _whole(text: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
    return int(text)


def _output(text: str) -> Path:
    if Path(text).suffix.lower() not in FORMATS_BY_SUFFIX:
        raise argparse.ArgumentTypeError(f"{text} must end in one of {' '.join(FORMATS_BY_SUFFIX)}")
    return Path(text)


def _environment(options: argparse.Namespace) -> dict[str, str]:
    """The variables, with what the command line or a socket of a supervisor says instead of them.

    Raises CannotListen.
    """
    environment = dict(os.environ)
    for name in ("host", "port"):
        if getattr(options, name, None) is not None:
            environment[f"REMOTE_{name.upper()}"] = getattr(options, name)
    options.listener = handed_over(environment) if options.command == "serve" else None
    if options.listener is not None:
        # What is judged safe must be the address that is listened on.
        host, port = options.listener.getsockname()[:2]
        environment |= {"REMOTE_HOST": host, "REMOTE_PORT": str(port)}
    return environment


def _complain(text: str, status: int) -> int:
    print(f"remote-worker: {text}", file=sys.stderr)
    return status


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    telemetry.configure()
    if not settings.pool.jail:
        telemetry.emit(Event.JAIL_OFF, level=logging.WARNING, text="strangers' images are decoded UNSEALED")
    needed = _descriptors(settings)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and needed > most:
        return _complain(
            f"REMOTE_CONNECTIONS={settings.web.connections} takes up to {needed} descriptors, and the system "
            f"allows {most}: lower it, or raise the limit (ulimit -H -n, LimitNOFILE=)",
            CANNOT_START,
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What starts now is fresh.
    asyncio.run(_serve_until_stopped(settings, options.listener))
    telemetry.emit(Event.STOPPED)
    return 0


def _descriptors(settings: Settings) -> int:
    """Two for each connection (socket, upload or output), one for each guest past them, three for each child
    (socket, pidfd, output), and some.
    """
    return 3 * settings.web.connections + 3 * _children(settings) + settings.fetch.fetches + 64


def _children(settings: Settings) -> int:
    pool = settings.pool
    return pool.children + pool.ready + pool.text_children + 1


async def _serve_until_stopped(settings: Settings, listener: socket.socket | None) -> None:
    serving = asyncio.create_task(_open_and_serve(settings, listener))
    # Until the server has its own: a container's first process never hears of a signal without a handler.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _open_and_serve(settings: Settings, listener: socket.socket | None) -> None:
    async with wiring.Whole(settings) as whole, wiring.renewal(whole) as renew:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew)
        app = create_app(whole.uses, whole.check, settings.web, settings.limits)

        def tell(address: server.Address) -> None:
            whole.door.listens(*address)
            _tell_address(address)

        await server.serve(app, settings.web, listener=listener, on_listening=tell)


def _tell_address(address: server.Address) -> None:
    host, port = address
    telemetry.emit(Event.SERVING, url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    asyncio.run(_work(options, settings))
    return 0


async def _work(options: argparse.Namespace, settings: Settings) -> None:
    with Document() as document:
        _load(document, options.input, settings.limits.input_bytes)
        async with wiring.open_pool(settings) as pool:
            deadline = time.monotonic() + settings.limits.decode_seconds
            await _TASKS[options.task](options, Images(pool), document, deadline)


async def _fit(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    wanted = FORMATS_BY_SUFFIX[options.output.suffix.lower()]
    width, height = options.box
    task = Fit(
        width=width,
        height=height,
        format=wanted if wanted in OUTPUT_FORMATS else None,
        quality=options.quality,
        animated=options.animated,
    )
    picture = (await images.fit(document, task, deadline=deadline)).picture
    if picture.format != wanted:
        raise WorkFailed(
            FailureCode.BAD_PARAMETER,
            f"this upload fits as {picture.format}; {wanted} is only written for uploads of that format",
        )
    _write(options.output, picture)


async def _avatars(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    made = await images.avatars(document, animated=options.animated, deadline=deadline)
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, picture in made.avatars.items():
        _write(options.directory / f"{name}.png", picture)


async def _prepare(options: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    made = await images.prepare(document, keep_metadata=options.keep_metadata, deadline=deadline)
    _write(options.output, made.picture)


async def _info(_: argparse.Namespace, images: Images, document: Document, deadline: float) -> None:
    described = await images.info(document, deadline=deadline)
    print(json.dumps({"mime_type": described.mime, **described.members}, indent=2, sort_keys=True))


def _load(document: Document, path: Path, most_bytes: int) -> None:
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            if document.size_bytes + len(chunk) > most_bytes:
                raise WorkFailed(FailureCode.TOO_LARGE, f"{path} has more than {most_bytes} bytes")
            document.write(chunk)


def _write(path: Path, picture: Picture) -> None:
    """Write beside the file first, so that a full disk leaves no half picture under its name."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(picture.body)
            file.flush()
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _preview(options: argparse.Namespace, settings: Settings) -> int:
    members = json.loads(asyncio.run(_look_at(options, settings)))
    if options.json:
        print(json.dumps(members, indent=2, sort_keys=True))
        return 0
    for name in _TOLD:
        if members.get(name):
            print(f"{name:<16}{members[name]}")
    for image in members["images"]:
        print(f"{'image':<16}{image['url']}")
    if members["flags"]:
        print(f"{'flags':<16}{' '.join(members['flags'])}")
    for hop in members.get("explain", {}).get("hops", ()):
        print(f"{'hop':<16}{json.dumps(hop, sort_keys=True)}")
    return 0


_TOLD = (
    "title",
    "description",
    "site_name",
    "type",
    "lang",
    "author",
    "published_time",
    "canonical_url",
    "final_url",
    "url",
)
"""The members of a preview that are printed for people."""


async def _look_at(options: argparse.Namespace, settings: Settings) -> bytes:
    async with wiring.open_door(settings) as door, wiring.open_texts(settings) as reader:
        links = wiring.links(settings, door, reader, door.via)
        async with links.previews as previews:
            deadline = time.monotonic() + settings.links.preview_seconds
            return await previews.preview(
                options.url, force=options.force, explain=options.explain, deadline=deadline
            )


def _resolve(options: argparse.Namespace, settings: Settings) -> int:
    answered = asyncio.run(_ask_servers(options.name, options.type.upper(), settings))
    for answer in answered.resolved.answers:
        print(answer)
    return 0


async def _ask_servers(name: str, kind: str, settings: Settings) -> Answered:
    async with wiring.open_door(settings) as door:
        names = wiring.names(door, settings)
        return await names.resolve(name, kind, time.monotonic() + settings.web.work_seconds)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _doctor(_: argparse.Namespace, settings: Settings) -> int:
    system = os.uname()
    print(f"python    {platform.python_version()} ({platform.python_implementation()})")
    print(f"kernel    {system.sysname} {system.release} {system.machine}")
    print(f"seccomp   {_line_of('/proc/sys/kernel/seccomp/actions_avail')}")
    print(f"user      {os.geteuid()}")
    try:
        return asyncio.run(_examine(settings))
    except (TemplateFailed, DoorFailed) as failed:
        print(f"seal      NOT UP: {failed}")
        return FAILED


async def _examine(settings: Settings) -> int:
    async with wiring.Whole(settings) as whole:
        health = await whole.check()
        for template, report in health.templates.items():
            _print_layers(template, report.get("layers", {}))
        _print_layers("fetch", whole.door.layers)
        await _print_libraries()
        words = {name: report.word for name, report in health.formats.items()}
        for name, word in (await _formats(whole.pool, settings)).items():
            if words.get(name, OK) == OK:
                words[name] = word
        for name, word in sorted(words.items()):
            print(f"format    {name}: {word}")
    sealed = health.ok and settings.pool.jail
    print(
        "seal      holds" if sealed else f"seal      DOES NOT HOLD: {health.reason or 'REMOTE_JAIL is off'}"
    )
    return 0 if sealed and all(word in (OK, OFF) for word in words.values()) else FAILED


def _print_layers(process: str, layers: Mapping[str, object]) -> None:
    for layer, state in layers.items():
        held = ("yes" if state else "NO") if isinstance(state, bool) else state
        print(f"layer     {process} {layer}: {held}")


async def _print_libraries() -> None:
    for name in (*IMAGE_PACKAGES, *TEXT_PACKAGES, *FETCH_PACKAGES):
        if _is_installed(name):
            print(f"library   {name} {metadata.version(name)}")
    # In a process of its own: here no image library is loaded.
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "remote_worker.decoder.codecs", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asking.communicate()
    if asking.returncode:
        raise OSError(f"asking the libraries for their versions ended with {asking.returncode}")
    for name, (version, wheel) in sorted(json.loads(told).items()):
        print(f"library   {name} {version} ({wheel or 'the system'})")


def _is_installed(package: str) -> bool:
    return next(iter(metadata.distributions(name=package)), None) is not None


async def _formats(pool: Pool, settings: Settings) -> dict[str, str]:
    """Each format's word after a sealed child has decoded our sample of it.

    Samples of a format that is off, or holds one that is, are left out.
    """
    words: dict[str, str] = {}
    target = next((name for name in OUTPUT_FORMATS if name in settings.pool.formats), None)
    for path in sorted(SAMPLES.iterdir()):
        with Document.of(path.read_bytes()) as document:
            deadline = time.monotonic() + settings.limits.decode_seconds
            try:
                reply = await pool.decode(
                    Fit(width=16, height=16, format=target), document, deadline=deadline
                )
            except WorkFailed as failed:
                if failed.code is not FailureCode.FORMAT_UNAVAILABLE:
                    detail = f" ({failed.detail})" if failed.detail else ""
                    words[path.name] = f"{failed.code}{detail}"
            else:
                words[reply.format] = OK
    return words


def _line_of(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "not offered"


def _settings(_: argparse.Namespace, settings: Settings) -> int:
    for name, text in effective(settings):
        print(f"{name}={text}")
    return 0


_TASKS = {"fit": _fit, "avatars": _avatars, "prepare": _prepare, "info": _info}
_COMMANDS = {
    "serve": _serve,
    "run": _run,
    "preview": _preview,
    "resolve": _resolve,
    "doctor": _doctor,
    "settings": _settings,
}
