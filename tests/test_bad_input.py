"""Whatever is given: one clear line that names it, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
import pytest

from registry.cli import cli, main
from registry.core.opening import open_registry
from registry.domain import Image
from registry.settings import load_settings
from tests.support.media import write_video
from tests.support.web import Web, serve, status


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """The console script's own entry, with a home for this test."""

    def call(*arguments: str, home: Path = tmp_path / "home") -> Ended:
        capfd.readouterr()
        code = entry("--home", str(home), *arguments)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Ended(code, out, err)

    return call


def entry(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    code = ended.value.code
    return code if isinstance(code, int) else int(bool(code))


def _csv(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


# --- the table as a whole -----------------------------------------------------------------------

HEADER = "Video URL,Performance\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        (HEADER, "no rows"),
        ("URL,Performance\nx,1\n", "Video URL"),
        ("Video URL,Likes\nx,1\n", "Performance"),
        (HEADER.encode() + b"http://example.com/\x81,1\n", "--encoding"),
        ((HEADER + "http://example.com/a,1\n").encode("utf-16")[:-1], "UTF-16"),
        (b"PK\x03\x04rest of a workbook", "workbook"),
    ],
    ids=["empty", "header-only", "no-url-column", "no-metric", "no-encoding", "utf-16", "xlsx"],
)
def test_a_table_that_cannot_be_read(
    run: Run, tmp_path: Path, content: str | bytes, said: str
) -> None:
    ended = run("ingest", _csv(tmp_path / "table.csv", content))
    assert ended.code == 1
    assert ended.last.startswith("error: ")
    assert said in ended.last
    assert "table.csv" in ended.last


def test_a_missing_column_lists_those_there_are(run: Run, tmp_path: Path) -> None:
    ended = run("ingest", _csv(tmp_path / "t.csv", "Link,Likes\nx,1\n"))
    assert "Link" in ended.last
    assert "Likes" in ended.last


def test_no_such_table(run: Run, tmp_path: Path) -> None:
    ended = run("ingest", str(tmp_path / "absent.csv"))
    assert (ended.code, "absent.csv" in ended.last) == (1, True)


def test_a_picture_is_no_table(run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((8, 8, 3), np.uint8))
    ended = run("ingest", str(tmp_path / "photo.png"))
    assert (ended.code, "photo.png" in ended.last) == (1, True)


# --- one video among others ---------------------------------------------------------------------


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(np.zeros(1024, np.float32).tobytes())
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


@pytest.fixture
def bad_rows(tmp_path: Path, web: Web) -> list[tuple[str, str]]:
    """Locations of videos that cannot be used, and what has to be said of each."""
    folder = tmp_path
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "page.mp4").write_text("<!doctype html><html><body>Sign in</body></html>")
    _audio_only(folder / "sound.mp4")
    cv2.imwrite(str(folder / "photo.jpg"), np.zeros((64, 64, 3), np.uint8))
    (folder / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(4000))
    page = b"<html><body>not found, politely</body></html>"
    return [
        ("absent.mp4", "absent.mp4"),
        ("empty.mp4", "empty"),
        ("page.mp4", "not a video"),
        ("sound.mp4", "audio"),
        ("photo.jpg", "image"),
        ("noise.mp4", "video"),
        ("ftp://example.com/a.mp4", "ftp"),
        ("javascript:alert(1)", "javascript"),
        ("../outside.mp4", "--allow-local-files"),
        ("", "missing"),
        (web.on("/gone.mp4", status(404)), "404"),
        (web.on("/page", serve(page, content_type="text/html")), "web page"),
        (web.on("/nothing.mp4", serve(b"")), "empty"),
    ]


def test_each_bad_video_is_named_and_the_good_one_is_read(
    run: Run, tmp_path: Path, bad_rows: list[tuple[str, str]]
) -> None:
    write_video(tmp_path / "nobody.mp4", lambda i: (i, 80, 120), frames=20)
    lines = [f"{location},{number}" for number, (location, _) in enumerate(bad_rows)]
    table = _csv(tmp_path / "t.csv", HEADER + "\n".join([*lines, "nobody.mp4,5", "nobody.mp4,x"]))
    ended = run("ingest", table, "--allow-private-hosts", "--json")
    assert ended.code == 3
    summary: dict[str, Any] = json.loads(ended.out)
    assert summary["videos"]["ingested"] == 1
    reasons = {failure["row"]: failure["reason"] for failure in summary["failures"]}
    for row, (location, said) in enumerate(bad_rows, start=2):
        assert said.lower() in reasons[row].lower(), (location, reasons[row])
        assert "\n" not in reasons[row]
    assert len(reasons) == len(bad_rows)
    assert any("'x'" in warning and f"Row {len(bad_rows) + 3}" in warning
               for warning in summary["warnings"])  # fmt: skip
    with open_registry(load_settings(home=tmp_path / "home")) as registry:
        assert list(registry.blobs.list("crops/")) == []
        assert list(registry.blobs.list("intents/")) == []
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_private_addresses_are_refused_unless_allowed(run: Run, tmp_path: Path, web: Web) -> None:
    url = web.on("/a.mp4", status(404))
    ended = run("ingest", _csv(tmp_path / "t.csv", HEADER + f"{url},1\n"), "--json")
    [failure] = json.loads(ended.out)["failures"]
    assert "--allow-private-hosts" in failure["reason"]


def test_a_path_that_is_refused_is_named_once(run: Run, tmp_path: Path) -> None:
    ended = run("ingest", _csv(tmp_path / "t.csv", HEADER + "/elsewhere/a.mp4,1\n"))
    [line] = [line for line in ended.err.splitlines() if line.startswith("failed:")]
    assert line.count("/elsewhere/a.mp4") == 1


def test_a_failed_row_is_named_once_and_how_to_try_it_again_is_said(
    run: Run, tmp_path: Path
) -> None:
    ended = run("ingest", _csv(tmp_path / "t.csv", HEADER + "absent.mp4,1\n,2\nb.mp4,x\n"))
    lines = [line for line in ended.err.splitlines() if line.startswith("failed: ")]
    assert [line.lower().count("row ") for line in lines] == [1, 1, 1]
    assert lines[1] == "failed: row 3: the URL is missing. Fill in the cell, or remove the row."
    assert "--retry-failed" in ended.last


# --- questions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry of one video, which shows nobody, and its table."""
    folder = tmp_path_factory.mktemp("nobody")
    write_video(folder / "nobody.mp4", lambda i: (i, 80, 120), frames=20)
    table = _csv(folder / "t.csv", HEADER + "nobody.mp4,5\n")
    assert entry("--home", str(folder / "home"), "ingest", table) == 0
    return folder


@pytest.fixture
def ready(run: Run, nobody: Path) -> Run:
    """Commands on that registry. No test changes it."""

    def call(*arguments: str) -> Ended:
        return run(*arguments, home=nobody / "home")

    return call


def test_a_video_without_faces_is_done(ready: Run) -> None:
    [video] = json.loads(ready("videos", "list", "--json").out)["videos"]
    assert (video["status"], video["faces"], video["frames"]) == ("done", 0, 2)
    assert json.loads(ready("report", "--json").out)["rows"] == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "no file"),
        (lambda p: p.write_text("who is this?"), "not an image"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.mkdir(), "no photo"),
        (lambda p: cv2.imwrite(str(p), np.full((90, 90, 3), 128, np.uint8)), "No face"),
    ],
    ids=["absent", "text", "empty", "folder", "nobody"],
)
def test_a_photo_that_answers_nothing(
    ready: Run, tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    photo = tmp_path / "photo.png"
    make(photo)
    ended = ready("lookup", str(photo))
    assert (ended.code, "photo.png" in ended.last, said in ended.last) == (1, True, True)


def test_a_face_that_nobody_resembles_is_no_match(ready: Run, tmp_path: Path) -> None:
    from skimage import data

    photo = tmp_path / "astronaut.png"
    cv2.imwrite(str(photo), data.astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]
    ended = ready("lookup", str(photo))
    assert ended.code == 0
    assert "no match" in ended.out
    assert json.loads(ready("lookup", str(photo), "--json").out)["faces"][0]["matches"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["identities", "show", "nobody"], "identities list"),
        (["identities", "name", "nobody", "Ann"], "identities list"),
        (["videos", "show", "https://example.com/x.mp4"], "videos list"),
        (["lookup", "x.png", "--top", "0"], "--top"),
    ],
)
def test_what_is_unknown_is_said(ready: Run, arguments: list[str], said: str) -> None:
    ended = ready(*arguments)
    assert ended.code in (1, 2)
    assert said in ended.err


def test_another_threshold_or_sampling_is_refused(ready: Run, nobody: Path) -> None:
    for option, value in (("--threshold", "0.5"), ("--every", "5")):
        ended = ready("ingest", str(nobody / "t.csv"), option, value)
        assert (ended.code, option in ended.last) == (1, True)


def test_another_pack_is_refused_by_name(ready: Run, nobody: Path, shared_data: Path) -> None:
    pack = shared_data / "models" / "buffalo_sc_int8"
    ended = ready("ingest", str(nobody / "t.csv"), "--model", str(pack))
    assert ended.code == 1
    assert "sface" in ended.last
    assert "buffalo_sc_int8" in ended.last


def test_an_unknown_model_lists_the_known(run: Run, tmp_path: Path) -> None:
    table = _csv(tmp_path / "t.csv", HEADER + "a.mp4,5\n")
    ended = run("ingest", table, "--model", "facenet")
    assert ended.code == 1
    assert "sface" in ended.last
    assert "buffalo_l" in ended.last
    assert not (tmp_path / "home" / "objects" / "registry.json").exists()


def test_a_registry_in_use_names_its_holder(ready: Run, nobody: Path) -> None:
    # With other settings, it is another registry to this process, too.
    with open_registry(load_settings(home=nobody / "home", device="cpu")):
        ended, read = ready("reindex"), ready("status")
    assert (ended.code, "in use by process" in ended.last) == (1, True)
    assert (read.code, "in use by process" in read.last) == (0, True)


@pytest.mark.parametrize("command", ["report", "identities list", "videos list", "reindex"])
def test_an_empty_registry_says_what_to_do(run: Run, command: str) -> None:
    ended = run(*command.split())
    assert (ended.code, "face-registry ingest" in ended.last) == (1, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("QDRANT_URL", "http://127.0.0.1:9"), ("MINIO_ENDPOINT", "127.0.0.1:9")],
)
def test_a_store_that_is_not_there_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("MINIO_ACCESS_KEY", "someone")
    monkeypatch.setenv("MINIO_SECRET_KEY", "a-secret-of-mine")
    monkeypatch.setenv("MINIO_SECURE", "false")
    ended = run("doctor")
    assert ended.code == 1
    assert name in ended.out
    assert "a-secret-of-mine" not in ended.out + ended.err


def test_an_endpoint_without_keys_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_ENDPOINT", "127.0.0.1:9")
    ended = run("status")
    assert (ended.code, "MINIO_ACCESS_KEY" in ended.last) == (2, True)


def test_status_speaks_no_python(ready: Run) -> None:
    out = ready("status").out
    assert not {"None", "True", "False"}.intersection(out.split())


def test_a_missing_argument_is_wrong_usage(run: Run) -> None:
    assert run("ingest").code == 2
    assert run("nonsense").code == 2


def test_a_home_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("status", home=tmp_path / "file" / "home")
    assert (ended.code, "--home" in ended.last) == (1, True)


def test_no_thread_is_left_behind(ready: Run) -> None:
    assert [t.name for t in threading.enumerate() if t.name.startswith("read")] == []


def _number_options(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each option that takes a number, after the words of its command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command, words = group.get_command(context, name), (*path, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _number_options(command, words)
            continue
        for parameter in command.params:
            if isinstance(parameter, click.Option) and isinstance(
                parameter.type, click.types.IntParamType | click.types.FloatParamType
            ):
                yield (*words, parameter.opts[0])


_ARGUMENTS = {
    "ingest": ["{folder}/videos.csv", "--plan"],
    "lookup": ["{folder}/photo.png"],
    "videos remove": ["--yes"],
    "serve": ["--no-open"],
}
"""What a command needs besides the option."""


@pytest.mark.parametrize("words", list(_number_options(cli)), ids=" ".join)
@pytest.mark.parametrize("number", ["99999999999999999999", "-99999999999999999999"])
def test_a_number_of_any_size_is_taken_or_refused_in_words(
    ready: Run, tmp_path: Path, astronaut: Image, words: tuple[str, ...], number: str
) -> None:
    (tmp_path / "videos.csv").write_text("Video URL,Performance\nnone.mp4,1\n")
    cv2.imwrite(str(tmp_path / "photo.png"), astronaut)
    more = [part.format(folder=tmp_path) for part in _ARGUMENTS.get(" ".join(words[:-1]), [])]
    ended = ready(*words[:-1], *more, f"{words[-1]}={number}")
    assert "internal error" not in ended.err
    assert ended.code in {0, 1, 2, 3}
