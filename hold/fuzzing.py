"""Fuzzing: every target for so long, and nothing found."""

import os
from collections.abc import Sequence

from fuzz import campaign
from fuzz.targets import TARGETS

from .point import Given, Row

GROUPS = {
    "header_": "headers of all formats",
    "placement_": "headers of all formats",
    "key_": "who may call",
    "drawing_": "headers of all formats",
    "write_": "writers of pictures",
    "jpeg_": "JPEG bytes",
    "gif_": "animations",
    "apng_": "animations",
}
"""By how the target's name begins."""
GROUPS_BY_NAME = {
    **dict.fromkeys(("signatures", "one_format"), "signature table"),
    **dict.fromkeys(("multipart", "content_type"), "multipart upload"),
    **dict.fromkeys(("requests", "host", "accept", "settings"), "requests and settings"),
    **dict.fromkeys(
        ("url", "address", "responses", "sniffed", "unpacked", "dns_answer", "door_reply"), "what is fetched"
    ),
    **dict.fromkeys(("json_body", "signed"), "requests and settings"),
    **dict.fromkeys(("task", "message", "record", "parts", "facts"), "wire"),
    **dict.fromkeys(("reply", "reply_built"), "reply checks"),
    **dict.fromkeys(("exif", "xmp", "iptc", "mp4", "profile"), "metadata"),
    **dict.fromkeys(("page", "page_head", "oembed", "markdown"), "pages, oEmbed and Markdown"),
}


def measure(given: Given) -> Sequence[Row]:
    """Run each target for `fuzz_seconds` under libFuzzer; bar: no input breaks one, and each gets going.

    An input that was found stays in tests/fuzz/found. Raises SystemExit where atheris has no wheel.
    """
    campaign.check_engine()
    runs: dict[str, list[campaign.Run]] = {}
    side_by_side = min(2, len(os.sched_getaffinity(0)))
    for run in campaign.run(TARGETS, given.fuzz_seconds, side_by_side=side_by_side):
        runs.setdefault(group_of(run.target), []).append(run)
    return [row(group, members, given.fuzz_seconds) for group, members in runs.items()]


def row(group: str, runs: Sequence[campaign.Run], seconds: float) -> Row:
    """One line for targets that belong together."""
    executions = sum(run.executions for run in runs)
    broken = [run.target for run in runs if run.end]
    measured = f"{executions:,} inputs, {sum(run.features for run in runs)} features, {len(broken)} broken"
    return Row(
        case=f"{group}: {len(runs)} target{'s' if len(runs) > 1 else ''}, {seconds:g} s each",
        bar="0 broken",
        measured=f"{measured}: {', '.join(broken)}" if broken else measured,
        holds=not broken and all(run.executions for run in runs),
    )


def group_of(target: str) -> str:
    """What the target belongs to."""
    found = GROUPS_BY_NAME.get(target)
    return found or next(group for start, group in GROUPS.items() if target.startswith(start))
