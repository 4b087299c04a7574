"""All targets in one table. Each is a function of some bytes that returns when its property holds."""

from ..target import Target
from . import (
    callers,
    calling,
    fetching,
    frames,
    headers,
    jpeg_bytes,
    linking,
    markdown,
    messages,
    metadata,
    multipart,
    pages,
    placement,
    requests,
    responses,
    settings,
    signatures,
    urls,
    verify,
    wire,
    writers,
)

_EVERY_SAMPLE = ("*/*", "hostile/*/*", "sample*")
_JPEG_WORDS = (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"MPF\0")
_PNG_WORDS = (
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"tRNS",
    b"iCCP",
    b"eXIf",
    b"zTXt",
    b"iTXt",
)
_BOX_WORDS = tuple(
    b"ftyp meta pitm iinf infe iref iprp ipco ipma iloc idat ispe pixi irot imir clap colr av1C hvcC moov"
    b" trak tkhd mdia mdhd hdlr minf stbl stsd stsz stts edts elst uuid jp2h ihdr jp2c pclr cdef jxlc"
    b" jxlp brob".split()
)
_SVG_WORDS = (
    b"<svg ",
    b"viewBox=",
    b"width=",
    b"<path d=",
    b"transform=",
    b"<!ENTITY ",
    b"&a;",
    b"encoding=",
)
_PAGE_WORDS = (
    b"<meta property=og:title content=",
    b"<title>",
    b"</title>",
    b"<script>",
    b"</script>",
    b"<script type=application/ld+json>",
    b"<!--",
    b"-->",
    b"--!>",
    b"</head>",
    b"<noscript>",
    b"<base href=",
    b"<meta charset=",
    b"&amp",
    b"&#x",
)

_FORMATS: dict[str, tuple[tuple[str, ...], tuple[bytes, ...]]] = {
    "jpeg": (("jpeg/*", "*.jpg", "hostile/*/jpeg*"), _JPEG_WORDS),
    "png": (("*png/*", "*.png", "hostile/*/*png*"), _PNG_WORDS),
    "gif": (
        ("gif/*", "*.gif", "hostile/*/gif*"),
        (b"NETSCAPE2.0", b"XMP DataXMP", b"ICCRGBG1012", b"\x21\xf9\x04"),
    ),
    "bmp": (("bmp/*", "*.bmp"), ()),
    "tiff": (("tiff/*", "*.tif"), (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0")),
    "webp": (("webp/*", "*.webp"), (b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"EXIF", b"XMP ", b"ICCP")),
    "heic": (("heic/*", "*.heic", "avif/*"), _BOX_WORDS),
    "avif": (("avif/*", "*.avif"), _BOX_WORDS),
    "icns": (("icns/*", "*.icns"), (b"TOC ", b"ic07", b"is32", b"s8mk", b"ARGB", b"\x89PNG\r\n\x1a\n")),
    "ico": (("ico/*", "*.ico"), (b"\x89PNG\r\n\x1a\n", b"IHDR")),
    "psd": (("psd/*", "*.psd"), (b"8BIM", b"8BPS", b"\x04\x22", b"\x04\x24")),
    "jp2": (("jp2/*", "*.j2k", "*.jp2"), (*_BOX_WORDS, b"JpgTiffExif->JP2", b"\xff\x4f\xff\x51")),
    "jxl": (("jxl/*", "*.jxl"), (*_BOX_WORDS, b"\xff\x0a")),
    "svg": (("svg/*", "*.svg*", "hostile/svg/*"), _SVG_WORDS),
}

_HEADERS = tuple(
    Target(name=f"header_{name}", run=headers.reader(name), samples=samples, words=words, is_file=True)
    for name, (samples, words) in _FORMATS.items()
)

TARGETS = (
    Target(
        name="signatures", run=signatures.agree, samples=_EVERY_SAMPLE, words=(b"<svg", b"\x1f\x8b", b"ftyp")
    ),
    Target(
        name="one_format", run=signatures.one_format, samples=_EVERY_SAMPLE, words=(b"<svg", b"ftyp", b"avif")
    ),
    Target(
        name="multipart",
        run=multipart.same_as_the_parser,
        words=(
            b"--b-9",
            b"\r\n--b-9\r\n",
            b"\r\n--b-9--",
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n',
            b"Content-Length: 3\r\n",
            b"\r\n\r\n",
        ),
    ),
    Target(
        name="requests",
        run=requests.same_in_any_pieces,
        words=(
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b"5\r\nabcde\r\n0\r\n\r\n",
        ),
    ),
    Target(
        name="responses",
        run=responses.ends,
        words=(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Content-Length: 5\r\n",
            b"Location: /\r\n",
            b"5\r\nabcde\r\n0\r\n\r\n",
            b"\x1f\x8b\x08\0\0\0\0\0\0\3",
            b"</head>",
            b"<title>",
        ),
    ),
    Target(
        name="dns_answer",
        run=fetching.dns_answer,
        words=(b"\xc0\x0c", b"\0\1\0\1\0\0\0\x3c\0\4", b"\0\5\0\1"),
    ),
    Target(
        name="unpacked",
        run=fetching.unpacked,
        words=(b"\x1f\x8b\x08\0\0\0\0\0\0\3", b"\x78\x9c", b"\0\0\xff\xff"),
    ),
    Target(
        name="sniffed",
        run=fetching.sniffed,
        words=(b"text/html", b"image/png", b"; charset=", b"<!doctype html", b"\x89PNG\r\n\x1a\n", b"<svg"),
    ),
    Target(
        name="door_reply",
        run=fetching.door_reply,
        words=(
            b'[1,"fetched",[',
            b'[1,"failed",[',
            b'[1,"resolved",[',
            b'"http://a.test/"',
            b"[]",
            b"{}",
            b"1e9",
        ),
    ),
    Target(
        name="json_body", run=linking.json_body, words=(b'{"url":"', b'"urls":[', b"\\ud800", b"[[", b"NaN")
    ),
    Target(
        name="signed",
        run=linking.signed,
        words=(b"2000000000/original/", b"aHR0cDovL2E", b"687474703a2f2f61"),
    ),
    Target(
        name="content_type", run=callers.content_type, words=(b"multipart/form-data", b"; boundary=", b'"')
    ),
    Target(name="host", run=callers.host, words=(b"127.0.0.1", b"localhost", b"[::1]", b"http://", b":80")),
    Target(
        name="accept", run=callers.accept, words=(b"image/*", b"application/json", b";q=", b"*/*", b"nan")
    ),
    Target(
        name="key_head",
        run=calling.head,
        words=(
            b"Bearer rw_",
            b'sig=("@method" "@path" "@query" "content-digest");created=2000000000;keyid="k"',
            b"sig=:" + b"A" * 43 + b"=:",
            b"sha-256=:" + b"A" * 43 + b"=:",
            b"pixels=1",
        ),
    ),
    Target(
        name="key_signature",
        run=calling.signature,
        words=(
            b'sig=("@method" "@path" "@query")',
            b' "content-digest")',
            b";created=2000000000",
            b";expires=2000000060",
            b';keyid="k"',
            b';alg="hmac-sha256"',
            b';nonce="n"',
            b"sig=:" + b"A" * 43 + b"=:",
        ),
    ),
    Target(
        name="key_digest",
        run=calling.content_digest,
        words=(b"sha-256=:", b"sha-512=:", b"A" * 43 + b"=:", b", ", b"md5=:AA==:"),
    ),
    Target(
        name="key_file",
        run=calling.key_file,
        words=(b"[keys.a]\n", b'sha256 = ["', b"hmac = {", b"pixels = 5\n", b"may = []\n", b"burst = 1\n"),
    ),
    Target(name="settings", run=settings.read_back),
    Target(
        name="url",
        run=urls.parsed,
        words=(
            b"http://",
            b"https://",
            b"//",
            b"@",
            b"\\",
            b"%2e",
            b"xn--",
            b"[::ffff:7f00:1]",
            b"0x7f.1",
            b"127.0.0.1",
            b"localhost",
            b":80",
            b"\xe3\x80\x82",
            b"\xc2\xad",
        ),
        most_bytes=4096,
    ),
    Target(name="address", run=urls.judged, most_bytes=96),
    Target(name="task", run=messages.there_and_back),
    Target(
        name="message", run=messages.any_message, words=(b'"kind"', b'"fit"', b'"width"', b"null", b"true")
    ),
    Target(name="record", run=wire.record, most_bytes=64),
    Target(name="parts", run=wire.parts, words=(b"RWP1", b"facts", b"output")),
    Target(name="facts", run=wire.facts, words=(b"[", b"{", b'"a":', b"NaN", b"1e999")),
    Target(name="reply", run=verify.plain, words=(b"RWP1", b"facts", b"output", b"IHDR")),
    Target(
        name="reply_built",
        run=verify.built,
        words=(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"ispe"),
    ),
    *_HEADERS,
    Target(
        name="placement_heif",
        run=placement.of_heif,
        samples=_FORMATS["heic"][0],
        words=_BOX_WORDS,
        is_file=True,
    ),
    Target(name="placement_recipe", run=placement.of_recipe),
    Target(
        name="drawing_svg", run=placement.of_svg, samples=_FORMATS["svg"][0], words=_SVG_WORDS, is_file=True
    ),
    Target(
        name="jpeg_strip",
        run=jpeg_bytes.stripped,
        samples=_FORMATS["jpeg"][0],
        words=_JPEG_WORDS,
        is_file=True,
    ),
    Target(
        name="jpeg_keep", run=jpeg_bytes.kept, samples=_FORMATS["jpeg"][0], words=_JPEG_WORDS, is_file=True
    ),
    Target(
        name="exif", run=metadata.of_exif, words=(b"II*\0", b"MM\0*", b"Exif\0\0", b"Apple iOS\0", b"Canon")
    ),
    Target(
        name="xmp",
        run=metadata.of_xmp,
        words=(b"<x:xmpmeta", b"exif:GPSLatitude", b"tiff:Orientation", b"xmlns:", b"<?xpacket"),
    ),
    Target(name="iptc", run=metadata.of_iptc, words=(b"8BIM", b"Photoshop 3.0\0", b"\x1c\x02", b"\x04\x04")),
    Target(
        name="mp4",
        run=metadata.of_mp4,
        words=(b"ftyp", b"moov", b"udta", b"\xa9xyz", b"loci", b"keys", b"uuid"),
    ),
    Target(
        name="profile", run=metadata.of_profile, words=(b"RGB ", b"GRAY", b"rXYZ", b"rTRC", b"para", b"curv")
    ),
    Target(
        name="page",
        run=pages.fits_a_reply,
        samples=("pages/*.html",),
        words=_PAGE_WORDS,
    ),
    Target(name="page_head", run=pages.same_as_a_parser, samples=("pages/markup*.html",), words=_PAGE_WORDS),
    Target(
        name="oembed",
        run=pages.oembed,
        words=(b'{"type":"video",', b'"thumbnail_url":"', b"<oembed><title>", b"<!DOCTYPE a [", b"&amp;"),
    ),
    Target(name="gif_frames", run=frames.of_gif, samples=_FORMATS["gif"][0], is_file=True),
    Target(
        name="apng_frames", run=frames.of_apng, samples=("apng/*", "*.png"), words=_PNG_WORDS, is_file=True
    ),
    Target(
        name="markdown",
        run=markdown.sanitised,
        words=(
            b"<a href=",
            b"<img src=x onerror=y>",
            b"<script>",
            b"<!--",
            b"</p>",
            b"javascript:",
            b"&#x6a;",
            b" @bob",
            b"\n\n",
            b"](",
            b"![",
            b"|-|",
            b"```",
            b"~~",
            b"http://a.b",
        ),
    ),
    Target(name="write_png", run=writers.png_still),
    Target(name="write_apng", run=writers.png_film),
    Target(name="write_gif", run=writers.gif_pictures),
    Target(name="write_webp", run=writers.webp_film),
)
