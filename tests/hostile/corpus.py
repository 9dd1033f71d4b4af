"""Inputs that mean harm, or that nobody meant: built into a sandbox, each named by its kind.

Everything follows from one small sound video and fixed seeds, so that a finding can be repeated.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from tests.support import web as on
from tests.support.media import numbered, write_video
from tests.support.processes import make_pipe

SECRET = b"the canary's secret"
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One input."""

    kind: str
    cell: str
    """What stands in the table, or the path that a command is given."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Folders that a run sees; only `home` may change."""

    root: Path
    canary: str
    """URL of a server on this machine that nobody may call."""

    @property
    def table(self) -> Path:
        return self.root / "table"

    @property
    def other(self) -> Path:
        return self.root / "other"

    @property
    def home(self) -> Path:
        return self.root / "home"


def prepare(root: Path, canary: str) -> tuple[Sandbox, bytes]:
    """A sandbox with one sound video in it, `table/good.mp4`, and its bytes."""
    box = Sandbox(root, canary)
    for name in ("table", "other", "user", "tmp", "cwd"):
        (root / name).mkdir(parents=True)
    good = write_video(box.table / "good.mp4", numbered(12), audio_s=0.3).read_bytes()
    (box.other / "secret.txt").write_bytes(SECRET)
    (box.other / "private.mp4").write_bytes(good)
    return box, good


# --- videos ------------------------------------------------------------------------------------


def _flipped(data: bytes, seed: int, start: float, stop: float, flips: int) -> bytes:
    chance, spoilt = random.Random(seed), bytearray(data)
    for _ in range(flips):
        at = chance.randrange(int(len(data) * start), int(len(data) * stop))
        spoilt[at] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def _patched(data: bytes, box: bytes, at: int, value: bytes) -> bytes:
    """`value` written `at` bytes behind the name of an MP4 box."""
    place = data.index(box) + len(box) + at
    return data[:place] + value + data[place + len(value) :]


def _zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("video.mp4", bytes(50_000_000))
    return packed.getvalue()


def _head(size: int) -> bytes:
    return struct.pack(">I", size)


def _pipe(target: Path) -> None:
    make_pipe(target)


def video_files(box: Sandbox, good: bytes) -> Iterator[Case]:
    """Files beside the table."""
    half, billion = len(good) // 2, struct.pack(">I", 10**9)
    mkv = write_video(box.root / "x.mkv", numbered(12)).read_bytes()
    gif = write_video(box.root / "x.gif", numbered(4), codec="gif", pix_fmt="rgb8").read_bytes()
    for made in ("x.mkv", "x.gif"):
        (box.root / made).unlink()
    concat = f"ffconcat version 1.0\nfile {box.other}/private.mp4\nfile {box.canary}/c.mp4\n"
    m3u8 = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{box.canary}/a.ts\n#EXT-X-ENDLIST\n"
    mpd = f'<?xml version="1.0"?><MPD><Period><BaseURL>{box.canary}/</BaseURL></Period></MPD>'
    bits = {f"bits-{n}.mp4": _flipped(good, n, 0, 1, 4 + 8 * n) for n in range(5)}
    heads = {f"head-{n}.mp4": _flipped(good, n, 0, 0.02, 3) for n in range(3)}
    tails = {f"tail-{n}.mp4": _flipped(good, n, 0.8, 1, 6) for n in range(3)}
    cuts = (1, 7, 8, 40, half, len(good) - 200, len(good) - 1)
    contents: dict[str, dict[str, bytes]] = {
        "bit flips": bits | heads | tails,
        "cut off": {f"cut-{n}.mp4": good[:n] for n in cuts} | {"cut.mkv": mkv[:-300]},
        "lying headers": {
            "frames.mp4": _patched(_patched(good, b"stts", 8, billion), b"stsz", 8, billion),
            "pixels.mp4": _patched(good, b"avc1", 24, struct.pack(">HH", 20000, 20000)),
            "track.mp4": _patched(good, b"tkhd", 76, struct.pack(">II", 20000 << 16, 20000 << 16)),
            "long.mp4": _patched(good, b"mvhd", 16, struct.pack(">I", 2**32 - 2)),
            "box.mp4": _head(2**32 - 1) + b"ftypmp42" + good[12:],
            "tables.mp4": _patched(good, b"stco", 4, billion),
            "data.mp4": _patched(good, b"url ", 0, bytes(4)),
            "size.mkv": mkv[:4] + b"\x01\xff\xff\xff\xff\xff\xff\xfe" + mkv[5:],
            "canvas.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
            "riff.avi": b"RIFF\xff\xff\xff\xffAVI LIST" + b"\xff" * 200,
        },
        "something else": {
            "empty.mp4": b"",
            "zeros.mp4": bytes(1_000_000),
            "noise.mp4": random.Random(1).randbytes(200_000),
            "photo.mp4": _png(64, 64),
            "zipbomb.mp4": _zip_bomb(),
            "gzip.mp4": gzip.compress(bytes(50_000_000)),
            "page.mp4": b"<!doctype html><script>alert(1)</script>",
            "program.mp4": b"\x7fELF" + random.Random(2).randbytes(5000),
            "document.mp4": b"%PDF-1.7\n" + random.Random(3).randbytes(5000),
            "good.txt": good,
        },
        "playlists": {
            "list.m3u8": m3u8.encode(),
            "list.mp4": m3u8.encode(),
            "local.m3u8": m3u8.replace(box.canary, str(box.other)).encode(),
            "list.ffconcat": concat.encode(),
            "concat.mp4": concat.encode(),
            "list.mpd": mpd.encode(),
            "list.pls": f"[playlist]\nFile1={box.canary}/p.mp4\n".encode(),
            "session.sdp": b"v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\n",
            "drawing.svg": f'<svg><image href="{box.canary}/i.png"/></svg>'.encode(),
        },
    }
    for kind, files in contents.items():
        for name, data in files.items():
            (box.table / name).write_bytes(data)
            yield Case(f"videos: {kind}", name)
    yield from _names(box, good)


def _names(box: Sandbox, good: bytes) -> Iterator[Case]:
    """Names and paths that want to be something else."""
    makers: dict[str, Callable[[Path], None]] = {
        "link-out.mp4": lambda path: path.symlink_to(box.other / "private.mp4"),
        "link-loop.mp4": lambda path: path.symlink_to(path),
        "link-device.mp4": lambda path: path.symlink_to("/dev/zero"),
        "folder.mp4": lambda path: path.mkdir(),
        "pipe.mp4": _pipe,
    }
    for name, make in makers.items():
        make(box.table / name)
        yield Case("videos: links, pipes, folders", name)
    for odd in ("<script>alert(1)<_script>", "-rf", "=cmd|' '!A0", "$(touch x)", "a b%00c"):
        name = f"{odd}.mp4"
        (box.table / name).write_bytes(good[:500])
        yield Case("videos: odd names", name)
    for cell in ("../other/private.mp4", "..%2fother%2fprivate.mp4", "table/../../x.mp4", "~/x.mp4",
                 "/etc/passwd", "C:\\x.mp4", "\\\\host\\share\\x.mp4", "x" * 5000 + ".mp4",
                 "a/" * 900 + "x.mp4", "\x1b[31mred\x1b[0m.mp4", "name\u202egpj.4pm", "nul\0.mp4",
                 "concat:good.mp4|/etc/passwd", "subfile,,start,0,end,9,,:good.mp4", "pipe:0",
                 "crypto:good.mp4", "%s%s%n.mp4", "{0.__class__}.mp4"):  # fmt: skip
        yield Case("videos: odd names", cell)


def addresses(box: Sandbox) -> Iterator[Case]:
    """URLs that nobody may be sent to."""
    port = box.canary.rpartition(":")[2]
    hosts = ("127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]",
             "[::ffff:127.0.0.1]", "0.0.0.0", "①②⑦.⓪.⓪.①", "LOCALHOST.", "[::]")  # fmt: skip
    cells = [f"http://{host}:{port}/{n}.mp4" for n, host in enumerate(hosts)] + [
        f"http://ann:secret@127.0.0.1:{port}/w.mp4", "http://169.254.169.254/latest/meta-data",
        "http://metadata.google.internal/", "http://[fe80::1%25eth0]/v.mp4", "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd", "ftp://127.0.0.1/v.mp4", "gopher://127.0.0.1/_x",
        "data:video/mp4;base64,AAAA", "javascript:alert(1)", "s3://bucket/../../key",
        "s3://bucket/key.mp4", f"http:\\\\127.0.0.1:{port}\\v.mp4", "http://a b/v.mp4",
        f"http://example.com\\@127.0.0.1:{port}/v.mp4", "http:///v.mp4", "http://", "://x",
        f"http://127.0.0.1:{port}/\r\nX-Evil: 1", "http://127.0.0.1:99999/v.mp4",
        f"http://127.0.0.1:{port}#@example.com/v.mp4",
    ]  # fmt: skip
    return (Case("addresses", cell) for cell in cells)


def servers(box: Sandbox, good: bytes, web: on.Web) -> Iterator[Case]:
    """URLs of a server that misbehaves. It may be called; the canary may not."""
    slow, junk = 0.2, b"\x00" * 100
    canary = box.canary.replace("127.0.0.1", "localhost")  # another host, as far as names go
    lie = {"Content-Length": str(10**15)}
    behaviours: dict[str, on.Behaviour] = {
        "gzip-bomb": on.gzip_bomb(50_000_000), "endless": on.endless(good), "hang": on.hang(),
        "drip": on.drip(good, slow), "slow-headers": on.slow_headers(slow),
        "nothing": on.serve(b""), "page": on.serve(b"<html>", content_type="text/html"),
        "playlist": on.serve(f"#EXTM3U\n{canary}/a.ts\n".encode(), content_type="video/mp4"),
        "loop": on.redirect("/loop"), "to-file": on.redirect("file:///etc/passwd"),
        "to-metadata": on.redirect("http://169.254.169.254/latest/meta-data"),
        "to-canary": on.redirect(f"{canary}/v.mp4"), "to-nothing": on.status(302),
        "to-junk": on.redirect("http://[::1"), "to-escape": on.redirect("/\x1b[31m"),
        "long-length": on.status(200, {"Content-Length": str(len(good) * 2)}, good),
        "huge-length": on.status(200, lie, good), "minus": on.status(200, {"Content-Length": "-5"}),
        "short": on.serve(good, cut_after=100), "broken-chunks": on.chunked(good, whole=False),
        "no-http": on.raw(junk), "half-a-line": on.raw(b"HTTP/1.1"), "500": on.status(500),
        "huge-header": on.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"),
        "many-headers": on.raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 5000 + b"\r\n"),
        "206": on.status(206, {"Content-Range": "bytes 5-9/10"}, good), "204": on.status(204),
        "evil-status": on.raw(b"HTTP/1.1 404 \x1b[31m<b>gone</b>\r\n\r\n"),
        "cut.mp4": on.serve(good[: len(good) // 2]), "bits": on.serve(_flipped(good, 9, 0, 1, 50)),
    }  # fmt: skip
    for name, behaviour in behaviours.items():
        yield Case("servers", web.on(f"/{name}", behaviour))
    yield Case("servers", web.url("/<script>alert(1)</script>\u202e.mp4"))


# --- tables ------------------------------------------------------------------------------------

HEADER = "Video URL,Performance\n"
GOOD_ROW = "good.mp4,1\n"


def tables(box: Sandbox) -> Iterator[Case]:
    """CSV files; where it is possible, the good video stands in them."""
    good = HEADER + GOOD_ROW
    texts: dict[str, str] = {
        "megabyte.csv": good + f"{'x' * 2**20},1\n", "wide.csv": good + "," * 50_000 + "\n",
        "formula.csv": good + '"=HYPERLINK(""http://x/"")",1\n@SUM(A1),=1+1\n+1,-1\n',
        "escapes.csv": good + "\x1b]0;owned\x07.mp4,1\n\x1b[2Jx.mp4,\x1b[31m7\n",
        "html.csv": good + "<img src=x onerror=alert(1)>,<b>7</b>\n",
        "numbers.csv": good + "a.mp4,1e999\nb.mp4,nan\nc.mp4,0x10\nd.mp4,-inf\ne.mp4," + "9" * 5000,
        "quote.csv": good + '"never closed,1\n', "quotes.csv": good + '"a"b,1\n',
        "many.csv": good + "absent.mp4,1\n" * 3000, "blank.csv": good + "\n,\n ,\n\r\n",
        "same.csv": "Video URL,Performance,Performance\ngood.mp4,1,2\n", "empty.csv": "",
        "header.csv": HEADER, "no-column.csv": "\x1b[31mURL,<b>\nx,1\n", "bom.csv": "\ufeff" + good,
        "cr.csv": good.replace("\n", "\r"), "surrogate.csv": good + "\ud7ff\U0010ffff.mp4,1\n",
        "long-header.csv": "x" * 2_000_000 + "," + HEADER + GOOD_ROW,
        "rtl.csv": good + "\u202e4pm.x,1\n",
    }  # fmt: skip
    raw: dict[str, bytes] = {
        "utf-16.csv": good.encode("utf-16"), "utf-32.csv": good.encode("utf-32"),
        "latin-1.csv": (good + "é.mp4,1\n").encode("latin-1"),
        "nul.csv": good.encode() + b"a\0b,1\n",
        "gzip.csv": gzip.compress(good.encode()), "zip.csv": _zip_bomb(), "png.csv": _png(9, 9),
        "noise.csv": random.Random(5).randbytes(100_000),
        "overlong.csv": good.encode() + b"\xc0\xaf,1",
    }  # fmt: skip
    for name, text in texts.items():
        (box.table / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    for name, data in raw.items():
        (box.table / name).write_bytes(data)
    for name in (*texts, *raw):
        yield Case("tables", str(box.table / name))
    for path in (
        box.table,
        box.table / "absent.csv",
        Path("/dev/null"),
        box.table / "link-loop.mp4",
    ):
        yield Case("tables", str(path))


# --- photos ------------------------------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return _head(len(data)) + kind + data + _head(zlib.crc32(kind + data))


def _png(width: int, height: int, rows: bytes | None = None) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = bytes((3 * width + 1) * height) if rows is None else rows
    return PNG + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(body)) + _chunk(b"IEND", b"")


def _saved(form: str, size: tuple[int, int] = (80, 60)) -> bytes:
    noise = np.random.default_rng(4).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Picture.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


def photos(box: Sandbox) -> Iterator[Case]:
    """Pictures to look up."""
    jpg, webp, tif = _saved("JPEG"), _saved("WEBP"), _saved("TIFF")
    sof = jpg.index(b"\xff\xc0")
    evil = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg><text>&b;</text></svg>'
    offset = struct.unpack("<I", tif[4:8])[0]
    entries = struct.unpack("<H", tif[offset : offset + 2])[0]
    following = offset + 2 + 12 * entries
    files: dict[str, bytes] = {
        "dot.png": _png(1, 1), "wide.png": _png(20000, 20000, b""), "row.png": _png(30000, 1),
        "most.png": _png(2**31 - 1, 2**31 - 1, b""), "bomb.png": _png(12000, 12000, bytes(10**7)),
        "text.png": PNG + _chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))
        + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))) + _chunk(b"IEND", b""),
        "cut.jpg": jpg[: len(jpg) // 2], "stub.jpg": jpg[:3], "empty.jpg": b"",
        "size.jpg": jpg[: sof + 5] + b"\xff\xff\xff\xff" + jpg[sof + 9 :],
        "bits.jpg": _flipped(jpg, 1, 0.1, 1, 60), "head.jpg": _flipped(jpg, 2, 0, 0.1, 30),
        "cut.webp": webp[: len(webp) // 2], "bits.webp": _flipped(webp, 3, 0, 1, 40),
        "bits.tif": _flipped(tif, 3, 0, 1, 60), "cut.tif": tif[: len(tif) // 2],
        "loop.tif": tif[:following] + tif[4:8] + tif[following + 4 :],
        "canvas.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(800), "drawing.svg": evil.encode(),
        "minus.bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, -9, -9, 1, 24, *[0] * 6),
        "zip.jpg": _zip_bomb(), "page.jpg": b"<html>",
        "noise.jpg": random.Random(6).randbytes(9999),
        "video.jpg": (box.table / "good.mp4").read_bytes(),
        "icon.ico": b"\0\0\1\0\xff\xff" + b"\xff" * 99,
        "layers.psd": b"8BPS\0\1" + bytes(6) + b"\0\4\x7f\xff\xff\xff\x7f\xff\xff\xff\0\x08\0\3",
        "\x1b[31m<b>name.jpg": jpg, "grid.ppm": b"P6 99999 99999 255\n",
        "eps.eps": b"%!PS-Adobe-3.0 EPSF",
    }  # fmt: skip
    folder = box.table / "photos"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    _pipe(folder / "pipe.jpg")
    for name in (*files, "loop.jpg", "folder.jpg", "pipe.jpg"):
        yield Case("photos", str(folder / name))
    yield Case("photos", "/dev/zero")
