"""What exiftool and ImageMagick make of a picture: readers that share no code with the service."""

import errno
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ImageCms

TURNED = {
    1: "TopLeft",
    2: "TopRight",
    3: "BottomRight",
    4: "BottomLeft",
    5: "LeftTop",
    6: "RightTop",
    7: "RightBottom",
    8: "LeftBottom",
}
"""ImageMagick's names of the EXIF orientations."""

READ_BY_IMAGEMAGICK = {
    "jpeg",
    "png",
    "apng",
    "gif",
    "bmp",
    "tiff",
    "webp",
    "heic",
    "avif",
    "jp2",
    "psd",
    "ico",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One of the right ways to make an avatar: they differ by half a pixel or in the order of steps."""

    crop_first: bool
    round_up: bool = False
    colours_first: bool = True


WAYS = (
    Way(crop_first=False),
    Way(crop_first=True),
    Way(crop_first=True, round_up=True),
    Way(crop_first=False, colours_first=False),
    Way(crop_first=True, colours_first=False),
    Way(crop_first=True, round_up=True, colours_first=False),
)

PROFILE = "%[colorspace] %[profile:icc]"
"""More than one word of it: there is a colour profile."""


class Exiftool:
    """One exiftool process that answers many questions; each thread has its own."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []

    def tags(self, paths: Sequence[Path], *options: str) -> list[dict[str, Any]]:
        """The tags of each file, as numbers where they are numbers."""
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        words = ["-j", "-n", *options, *map(str, paths), "-execute"]
        process.stdin.write("".join(f"{word}\n" for word in words).encode())
        process.stdin.flush()
        answer = b""
        while not answer.endswith(b"{ready}\n"):
            line = process.stdout.readline()
            if not line:
                raise AssertionError("exiftool ended")
            answer += line
        found: list[dict[str, Any]] = json.loads(answer.removesuffix(b"{ready}\n") or b"[]")
        return found

    def sizes(self, paths: Sequence[Path]) -> dict[str, tuple[int, int]]:
        """File name to size as stored; an orientation that turns it again is a mistake of its own."""
        sizes = {}
        for tags in self.tags(paths, "-ImageWidth", "-ImageHeight", "-Orientation", "-Rotation"):
            assert tags.get("Orientation", 1) == 1, tags
            assert tags.get("Rotation", 0) == 0, tags
            if "ImageWidth" in tags:
                sizes[Path(tags["SourceFile"]).name] = (tags["ImageWidth"], tags["ImageHeight"])
        return sizes

    def orientation(self, path: Path) -> int:
        """The orientation that the file's metadata tells, 1 when it tells none that is legal."""
        told = self.tags([path], "-Orientation")[0].get("Orientation", 1)
        return told if told in TURNED else 1

    def close(self) -> None:
        """End every process."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _process(self) -> subprocess.Popen[bytes]:
        if not hasattr(self._own, "process"):
            command = ["exiftool", "-stay_open", "1", "-@", "-"]
            self._own.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._started.append(self._own.process)
        process: subprocess.Popen[bytes] = self._own.process
        return process


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A picture that ImageMagick has read once: upright, in a form that it reads again at once."""

    path: Path
    width: int
    height: int
    colours: Sequence[str]
    """What makes sRGB of it."""


class ImageMagick:
    """Reads a picture's pixels, and makes the avatars that the service's are compared with."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = [*command, "-limit", "thread", "1", "-quiet"]
        self._profile = folder / "srgb.icc"
        self._profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())

    def read(self, path: Path, form: str, orientation: int, folder: Path) -> Original | None:
        """The picture, kept in the folder, or None when this reader cannot read the file."""
        kept = folder / "original.mpc"
        told = ["-print", f"{PROFILE}\n", *self._upright(form, orientation), "-print", "%w %h\n"]
        said = self._run([self._first(path, form), *told, str(kept)])
        if said is None:
            return None
        *described, size = said.splitlines()
        width, height = map(int, size.split())
        return Original(path=kept, width=width, height=height, colours=self._colours(b" ".join(described)))

    def reference(self, original: Original, sides: Sequence[int], way: Way) -> dict[int, bytes] | None:
        """RGBA of the square middle at each side, or None when that fails."""
        least = min(original.width, original.height)
        odd = 1 if way.round_up else 0
        left, top = (original.width - least + odd) // 2, (original.height - least + odd) // 2
        steps: list[str] = []
        for side in sides:
            if not way.crop_first:
                steps += ["(", "-clone", "0", "-resize", f"{side}x{side}^", "-gravity", "center"]
                steps += ["-extent", f"{side}x{side}", ")"]
            else:
                steps += ["(", "-clone", "0", "-crop", f"{least}x{least}+{left}+{top}", "+repage"]
                steps += ["-resize", f"{side}x{side}!", ")"]
        before, after = (original.colours, []) if way.colours_first else ([], original.colours)
        options = [str(original.path), *before, "-filter", "Lanczos", "-background", "none"]
        pixels = self._run([*options, *steps, "-delete", "0", *after, "-depth", "8", "rgba:-"])
        parts = None if pixels is None else _cut(pixels, sides)
        return parts and dict(zip(sides, parts, strict=True))

    def pixels(self, paths: Sequence[Path], sides: Sequence[int], *, scaled: bool = False) -> list[bytes]:
        """RGBA of each file's first frame as sRGB, `scaled` to its side; empty when one cannot be read."""
        firsts = [f"{path}[0]" for path in paths]
        # Each line is one file's, for of every file only one picture is taken.
        described = (self._run([*firsts, "-format", f"{PROFILE}\n", "info:"]) or b"").splitlines()
        if len(described) != len(paths):
            return [b""] * len(paths)
        steps: list[str] = []
        for first, said, side in zip(firsts, described, sides, strict=True):
            resized = ["-resize", f"{side}x{side}!"] if scaled else []
            steps += ["(", first, *self._colours(said), *resized, ")"]
        pixels = self._run([*steps, "-depth", "8", "rgba:-"])
        return (pixels and _cut(pixels, sides)) or [b""] * len(paths)

    def _first(self, path: Path, form: str) -> str:
        prefix = {"apng": "png:", "jpeg": "jpeg:", "ico": "ico:"}.get(form, "")
        if form == "ico":
            sizes = self._run([f"ico:{path}", "-format", "%w %h\n", "info:"]) or b""
            areas = [int(width) * int(height) for width, height in map(bytes.split, sizes.splitlines())]
            return f"ico:{path}[{areas.index(max(areas)) if areas else 0}]"
        return f"{prefix}{path}[0]"

    def _upright(self, form: str, orientation: int) -> list[str]:
        if form in ("heic", "avif"):
            return ["-orient", "TopLeft"]
        whole = ["-coalesce"] if form in ("gif", "webp") else []
        return [*whole, "-orient", TURNED.get(orientation, "TopLeft"), "-auto-orient", "+repage"]

    def _colours(self, described: bytes) -> list[str]:
        if len(described.split()) > 1:
            return ["-profile", str(self._profile), "-colorspace", "sRGB"]
        return ["-colorspace", "sRGB"]

    def _run(self, arguments: list[str]) -> bytes | None:
        done = _started([*self._command, *arguments])
        return done.stdout if done.returncode == 0 and done.stdout else None


def _started(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a tool. One start in thousands fails with EFAULT when many threads start tools at once."""
    for attempt in range(4):
        try:
            return subprocess.run(command, capture_output=True, timeout=120, check=False)
        except OSError as error:
            if error.errno != errno.EFAULT or attempt == 3:
                raise
    raise AssertionError("unreachable")


def find_imagemagick() -> list[str] | None:
    """How to start ImageMagick's convert, told from other programs of that name by what it says of itself."""
    for name in ("convert-im6.q16", "magick", "convert"):
        path = shutil.which(name)
        if (
            path
            and b"ImageMagick" in subprocess.run([path, "-version"], capture_output=True, check=False).stdout
        ):
            return [path]
    return None


def _cut(pixels: bytes, sides: Iterable[int]) -> list[bytes] | None:
    parts, at = [], 0
    for side in sides:
        parts.append(pixels[at : at + side * side * 4])
        at += side * side * 4
    if at != len(pixels):
        print(f"ImageMagick gave {len(pixels)} bytes and not {at}", file=sys.stderr)
        return None
    return parts
