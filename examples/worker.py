"""What an application asks of the worker, with its Python client: worker.py PICTURE LINK"""

import os
import sys

from remote_worker.client import Busy, Client, Refused

picture, link = sys.argv[1:]
url = os.environ.get("REMOTE_WORKER_URL", "http://127.0.0.1:5000")

# A busy worker (429, 503) is asked again when it says so, for up to 60 seconds in all.
with Client(url, key=os.environ.get("REMOTE_WORKER_KEY"), seconds=60) as worker:
    try:
        # Six avatars at once.
        worker.avatars(picture).pictures[73].save("avatar73.png")

        # One picture; the file is read while it is sent.
        worker.fit(800, picture, format="webp").save("small.webp")

        # What a link leads to.
        print("title:", worker.preview(link).title)

        # Markdown as HTML that is safe to show.
        print("html:", worker.render_markdown("**Hello**").strip())

        worker.info(b"no picture")
    except Refused as refused:
        # A failure has a code: compare that, never the message.
        print("refused:", refused.code)
    except Busy as busy:
        sys.exit(f"still busy, try again in {busy.retry_after or 5:g} seconds")
