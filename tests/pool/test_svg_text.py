"""Text in an SVG is drawn by a sealed child, with the fonts of the machine and without any."""

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, io, time
from PIL import Image
from remote_worker.contract.document import Document
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Fit
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings

DRAWING = b'''<svg xmlns="http://www.w3.org/2000/svg" width="200" height="50"><rect width="200" height="50"/>
<text x="5" y="35" font-size="30" fill="white" font-family="No Such Font, serif">Hello</text></svg>'''

async def main():
    async with Pool(PoolSettings(children=1, ready=1), Limits()) as pool:
        with Document.of(DRAWING) as document:
            reply = await pool.decode(Fit(width=200, height=50), document, deadline=time.monotonic() + 20)
            drawn = Image.open(io.BytesIO(bytes(reply.pictures["output"].body))).convert("L")
            print(sum(drawn.histogram()[128:]))

asyncio.run(main())
"""
HIDE_FONTS = (
    "for folder in /usr/share/fonts /usr/local/share/fonts; do "
    '[ ! -d "$folder" ] || mount -t tmpfs none "$folder"; done; exec "$@"'
)


def white_pixels(*before: str) -> int:
    command = [*before, sys.executable, "-c", PROGRAM]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert drawn.returncode == 0, drawn.stderr
    return int(drawn.stdout)


def test_text_is_drawn_with_what_the_machine_has() -> None:
    assert white_pixels() > 200


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="hiding the fonts takes a mount of root"
)
def test_text_is_drawn_where_no_font_is_installed() -> None:
    assert white_pixels("unshare", "--mount", "sh", "-c", HIDE_FONTS, "sh") > 200
