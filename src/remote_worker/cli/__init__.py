"""The command line: serve, do one image or link, tell what this machine can do and which settings hold."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..contract.failures import WorkFailed
from ..contract.formats import FORMATS_BY_SUFFIX
from ..contract.limits import LONGEST_SIDE
from ..contract.messages import OUTPUT_FORMATS
from ..engines.engine import EngineFailed
from ..fetch.door import DoorFailed
from ..pool.template import TemplateFailed
from ..service.cache_file import CacheUnusable
from ..service.network import KINDS
from ..service.presets import Presets
from ..settings import BadSettings, Settings, read
from ..web.keys import KEY_NAME
from ..web.listening import CannotListen, handed_over
from ..web.tls import BadCertificate
from .batch import is_many, run_many
from .bulk import add_commands, bulk
from .diagnosis import doctor, settings_in_effect
from .keys import keys
from .looking import preview, resolve
from .pictures import run
from .serving import serve
from .working import work

FAILED = 1
BROKEN_PIPE = 141
"""What a shell says of a program that SIGPIPE ended."""
CANNOT_START = 78
"""EX_CONFIG of sysexits.h: a setting is wrong, or a layer of the seal cannot be put up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_output(parser, options)
    if sys.platform != "linux":
        return _complain(
            "the seal needs the Linux kernel: use a container, as CONTRIBUTING.md shows", CANNOT_START
        )
    try:
        settings = read(_environment(options))
        status = _COMMANDS[options.command](options, settings)
        sys.stdout.flush()
        return status
    except BadSettings as bad:
        return _complain("\n".join(bad.problems), CANNOT_START)
    except (TemplateFailed, DoorFailed, CacheUnusable, CannotListen, BadCertificate) as failed:
        return _complain(str(failed), CANNOT_START)
    except EngineFailed as failed:
        # Not CANNOT_START: a broker that is down comes back, and a supervisor is to try again.
        return _complain(f"REMOTE_ENGINE, or the queue in REMOTE_JOBS: {failed}", FAILED)
    except KeyboardInterrupt:
        return 130
    except WorkFailed as failed:
        return _complain(f"{failed.code}: {failed.detail}" if failed.detail else failed.code, FAILED)
    except BrokenPipeError:
        # Who read it has enough. What is still held must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as failed:
        is_of_file = failed.filename is not None and failed.strerror
        return _complain(f"{failed.filename}: {failed.strerror}" if is_of_file else str(failed), FAILED)


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

    commands.add_parser("worker", help="work off jobs, without listening, until stopped")

    run = commands.add_parser("run", help="do images, sealed as the server does it")
    tasks = run.add_subparsers(dest="task", required=True, metavar="task")
    fit = tasks.add_parser(
        "fit", help="scale down into a box; the output's extension picks the format, of many --format"
    )
    fit.add_argument("box", type=_box, help="800 or 800x600")
    _add_inputs(fit)
    fit.add_argument("output", type=Path, help="a file; of several inputs, or of a folder, a folder")
    fit.add_argument("--format", choices=OUTPUT_FORMATS, help="of many outputs (default: each input's own)")
    fit.add_argument("--quality", type=_quality, help="1 to 100")
    fit.add_argument("--animated", action="store_true", help="keep all frames")
    avatars = tasks.add_parser("avatars", help="write avatar24.png and so on")
    _add_inputs(avatars)
    avatars.add_argument(
        "output", type=Path, metavar="directory", help="of several inputs, each has a folder in it"
    )
    avatars.add_argument("--animated", action="store_true", help="keep all frames")
    preset = tasks.add_parser("preset", help="write every output of a preset of REMOTE_SETTINGS_FILE")
    preset.add_argument("name")
    _add_inputs(preset)
    preset.add_argument(
        "output", type=Path, metavar="directory", help="of several inputs, each has a folder in it"
    )
    prepare = tasks.add_parser("prepare", help="make a JPEG upright and free of metadata")
    _add_inputs(prepare)
    prepare.add_argument("output", type=Path, help="a file; of several inputs, or of a folder, a folder")
    prepare.add_argument("--keep-metadata", action="store_true", help="take away the location only")
    info = tasks.add_parser("info", help="print what the header says, as JSON; of several inputs a line each")
    _add_inputs(info)
    info.set_defaults(output=None)

    add_commands(commands)

    preview = commands.add_parser("preview", help="say what a page is, as /links/preview does it")
    preview.add_argument("url")
    preview.add_argument("--force", action="store_true", help="fetch it even if it seems to work only once")
    preview.add_argument("--explain", action="store_true", help="with each hop, its addresses and times")
    preview.add_argument("--json", action="store_true", help="print everything, as JSON")

    resolve = commands.add_parser("resolve", help="ask name servers, as /dns/resolve does it")
    resolve.add_argument("name")
    resolve.add_argument("--type", default=KINDS[0], help=f"one of {', '.join(KINDS)} (default: {KINDS[0]})")

    top = commands.add_parser("top", help="watch a worker: its queues, children, rates and codes")
    top.add_argument("url", nargs="?", help="where it is (default: REMOTE_HOST and REMOTE_PORT)")
    top.add_argument("--once", action="store_true", help="print one frame and end")
    top.add_argument("--key-file", type=Path, help="file with the key to show, instead of REMOTE_TOP_KEY")
    top.add_argument("--seconds", type=_pause, default=1.0, help="between two looks (default: 1)")
    keys = commands.add_parser("keys", help="make keys for callers, and look at the key file")
    kinds = keys.add_subparsers(dest="what", required=True, metavar="what")
    new = kinds.add_parser("new", help="make a key: the file's lines on standard output, the key beside it")
    new.add_argument("name", type=_key_name, help="of who will call")
    new.add_argument(
        "--hmac", action="store_true", help="a secret that signs requests, instead of a bearer key"
    )
    kinds.add_parser("list", help="the keys of REMOTE_KEYS_FILE, without any secret")
    certificate = kinds.add_parser("fingerprint", help="of a client's certificate, as the key file takes it")
    certificate.add_argument("certificate", type=Path, help="in PEM")

    commands.add_parser("doctor", help="try the kernel, the seal and every format")
    settings = commands.add_parser("settings", help="print the settings in effect, secrets masked")
    settings.add_argument(
        "--origins", action="store_true", help="with where each comes from: environment, file, or default"
    )
    return parser


def _box(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    return _whole(width, LONGEST_SIDE), _whole(height if cross else width, LONGEST_SIDE)


def _pause(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or not float(text) >= _SHORTEST_PAUSE_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0.1 or more")
    return float(text)


_SHORTEST_PAUSE_SECONDS = 0.1


def _key_name(text: str) -> str:
    if not re.fullmatch(KEY_NAME, text):
        raise argparse.ArgumentTypeError("a name is 1 to 64 letters, digits, dots, dashes and underscores")
    return text


def _quality(text: str) -> int:
    return _whole(text, 100)


def _whole(text: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
    return int(text)


def _add_inputs(task: argparse.ArgumentParser) -> None:
    task.add_argument("inputs", type=Path, nargs="+", metavar="input", help="files, or folders of files")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    if options.task == "preset":
        options.preset = Presets(settings.presets).named(options.name)
    return (run_many if _is_many(options) else run)(options, settings)


def _is_many(options: argparse.Namespace) -> bool:
    # What is made of one picture goes into a folder anyway.
    return is_many(options.inputs, None if options.task in ("avatars", "preset") else options.output)


def _check_output(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Whether one file's name tells a format, and the right one. Exits if not."""
    if options.command != "run" or options.task not in ("fit", "prepare") or _is_many(options):
        return
    told = FORMATS_BY_SUFFIX.get(options.output.suffix.lower())
    if options.task == "prepare":
        if told not in (None, "jpeg"):
            parser.error(f"{options.output} is not the name of a JPEG, and prepare makes no other")
        return
    if told is None:
        parser.error(f"{options.output} must end in one of {' '.join(FORMATS_BY_SUFFIX)}")
    if options.format is not None:
        parser.error("--format is for many outputs: the name of one says it")


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


def _top(options: argparse.Namespace, settings: Settings) -> int:
    from .top import top  # noqa: PLC0415  what draws in a terminal is not for those who serve

    return top(options, settings)


def _complain(text: str, status: int) -> int:
    print(f"remote-worker: {text}", file=sys.stderr)
    return status


_COMMANDS = {
    "serve": serve,
    "worker": work,
    "run": _run,
    "bulk": bulk,
    "preview": preview,
    "resolve": resolve,
    "top": _top,
    "keys": keys,
    "doctor": doctor,
    "settings": settings_in_effect,
}
