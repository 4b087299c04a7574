"""Whatever a text says, its HTML has allowed tags only, also as a browser reads it; its pictures are told."""

import re

from justhtml import JustHTML

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.markup import ELEMENTS, is_allowed
from remote_worker.contract.texts import RenderMarkdown
from remote_worker.decoder import markdown

_SOURCE = re.compile(r'<img [^<>]*? src="([^"]*)"')


def sanitised(data: bytes) -> None:
    """The HTML is allowed by its characters, and by what a browser's parser makes of it."""
    text = data.decode(errors="replace").encode()
    try:
        read = markdown.render(RenderMarkdown(), text)
    except WorkFailed as failed:
        assert failed.code is FailureCode.OUTPUT_TOO_LARGE, failed.code
        return
    html = read.parts[markdown.HTML].decode()
    assert is_allowed(html), html
    sources = [html[start:end] for start, end in read.facts[markdown.IMAGES]]
    assert sources == _SOURCE.findall(html), html
    todo = list(JustHTML(html, fragment=True, sanitize=False).root.children or ())
    while todo:
        node = todo.pop()
        if node.name == "#text":
            continue
        assert node.name in ELEMENTS, node.name
        assert node.namespace == "html", node.namespace
        names = node.attrs or {}
        assert not [name for name in names if name.startswith("on") or name == "style"], names
        todo += node.children or ()
