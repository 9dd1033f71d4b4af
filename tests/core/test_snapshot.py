"""Reading a registry from its objects: while another process has it, or without write permission.

The other processes are real ones. Every read must show a state that was committed, in the order of
the commits, and change no file of the registry.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from queries.export import write_zip
from queries.report import make_report
from queries.selections import Selection
from registry.blobs.base import BlobStore
from registry.blobs.folder import FolderStore
from registry.blobs.folder_swap import new_folder, replace_folder
from registry.core import keys
from registry.core.intents import ERASE, SWITCH
from registry.core.opening import open_registry, open_to_read
from registry.core.registry import Registry
from registry.core.runs import DID_NOT_END, RUNNING, recorded, runs
from registry.core.snapshot import index_in_memory, snapshot_of, take_snapshot
from registry.domain import Image
from registry.errors import RegistryLocked, SnapshotOutdated, StoreCorrupt, StoreUnreachable
from registry.footage.joining import join_videos
from registry.people.corrections import FaceSelection, hide, merge, split
from registry.settings import load_settings
from registry.terminal import Terminal, repeat_if_outdated
from tests.core.busy_writer import state_of
from tests.support.factories import person, video
from tests.support.failing_folder import FailingFolder
from tests.support.homes import copy_home
from tests.support.media import write_video
from tests.support.processes import is_root
from tests.support.registries import dump, new_registry, put
from tests.test_main_job import call_here

ROOT = Path(__file__).parents[2]
VIDEOS = 24
COMMAND = "from registry.cli import main; main()"
COMMANDS = """
import json, sys
from click.testing import CliRunner
from registry.cli import cli
ended = [CliRunner().invoke(cli, words) for words in json.loads(sys.argv[1])]
print(json.dumps([(done.exit_code, done.stderr + str(done.exception or "")) for done in ended]))
"""
HOLD_OPEN = """
import sys
import face_registry as fr
registry = fr.open_registry(home=sys.argv[1])
fr.averages(registry)
print("open", flush=True)
sys.stdin.read()
"""
READERS: tuple[tuple[str, ...], ...] = (
    ("report", "--json"),
    ("report", "--csv", "{out}/r.csv", "--zip", "{out}/r.zip", "--parquet", "{out}/r.parquet"),
    ("status", "--json"),
    ("videos", "list", "--json"),
    ("videos", "show", "{video}", "--json"),
    ("videos", "timeline", "{video}", "--json"),
    ("identities", "list", "--all", "--json"),
    ("identities", "show", "{identity}", "--json"),
    ("identities", "together", "--json"),
    ("metrics", "list", "--json"),
    ("receipts", "list"),
    ("lookup", "{photo}", "--json"),
    ("lookup", "{photos}", "--csv", "{out}/l.csv"),
)


def run_all(
    home: Path, commands: Sequence[Sequence[str]], before: tuple[str, ...]
) -> list[tuple[int, str]]:
    """Run commands, one after another, in a process of their own: exit code and messages of each.

    `before` stands before the command of the process.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FACE_REGISTRY_")}
    given = json.dumps([["--home", str(home), *words] for words in commands])
    done = subprocess.run(
        [*before, sys.executable, "-c", COMMANDS, given],
        cwd=ROOT, env=environment, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(code, said) for code, said in json.loads(done.stdout)]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs in the block."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for a condition that a process brings about."""
    deadline = time.monotonic() + 100
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files_of(home: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file."""
    return {
        str(path.relative_to(home)): (
            hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns,
        )
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }  # fmt: skip


@pytest.fixture(scope="module")
def picture(t1_image: Image) -> Image:
    """Six people, BGR uint8 (442, 640, 3): as a photo, small enough to be searched as a whole."""
    return np.asarray(cv2.resize(t1_image, (640, 442)), np.uint8)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, picture: Image) -> Path:
    """Short videos of the same six people, each a little lighter than the last."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(VIDEOS):
        write_video(folder / f"{number}.mp4", [picture + number] * 2, size=(640, 442))
    path = folder / "videos.csv"
    with path.open("w", newline="") as file:
        rows = [(f"{number}.mp4", number) for number in range(VIDEOS)]
        csv.writer(file).writerows([("Video URL", "Performance"), *rows])
    return path


def _first_rows(table: Path, rows: int) -> Path:
    """A table with the first rows of another."""
    short = table.with_name(f"{rows}.csv")
    short.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + rows]))
    return short


@pytest.fixture(scope="module")
def ingested(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a registry that has ingested two of these videos."""
    home = tmp_path_factory.mktemp("ingested") / "home"
    done = call_here(home, "ingest", str(_first_rows(table, 2)), "--workers", "0", "--every", "1")
    assert done.exit_code == 0, done.stderr
    return home


# --- what a snapshot says -----------------------------------------------------------------------


def _with_decisions(home: Path) -> Registry:
    videos = [
        video(f"v{i}", [person(i % 3), person((i + 1) % 5, 0.1), person(5)]) for i in range(5)
    ]
    registry = new_registry(home, *videos)
    people = [one.identity_id for one in registry.index.identities()]
    merge(registry, people[:2])
    registry.name(people[0], "Ada")
    registry.name(people[2], "Zoë")
    shown = next(registry.index.faces_of(people[0])).video_id
    split(registry, people[0], FaceSelection(videos=(shown,)))
    join_videos(registry, [videos[1].video_id, videos[2].video_id])
    hide(registry, [people[3]])
    return registry


def test_a_snapshot_says_what_the_index_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with _with_decisions(home) as registry:
        before = files_of(home)
        with open_registry(home=home, read_only=True) as other:
            shown, expected = dump(other), dump(registry)
            assert shown["videos"] == expected["videos"]
            assert shown["identities"] == expected["identities"]
            assert [payload for payload, _ in shown["faces"]] == [
                payload for payload, _ in expected["faces"]
            ]
            for (_, ours), (_, theirs) in zip(shown["faces"], expected["faces"], strict=True):
                np.testing.assert_allclose(
                    np.frombuffer(ours, np.float32), np.frombuffer(theirs, np.float32), atol=1e-6
                )
            assert other.view == registry.view
            questions = np.stack([person(1, 0.3), person(5)])
            similar = [
                index.similar_faces(questions, limit=9) for index in (other.index, registry.index)
            ]
            assert [[s.face.face_id for s in row] for row in similar[0]] == [
                [s.face.face_id for s in row] for row in similar[1]
            ]
        assert files_of(home) == before


def test_a_snapshot_cannot_be_changed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with new_registry(home, video("v", [person(1)])) as registry:
        [who] = [one.identity_id for one in registry.index.identities()]
        with open_registry(home=home, read_only=True) as other:
            for change in (
                lambda: other.name(who, "Zoë"),
                lambda: other.forget(who),
                lambda: put(other, video("w", [person(2)])),
                other.reindex,
            ):
                with pytest.raises(
                    RegistryLocked,
                    match="because it was opened with read_only",
                ):
                    change()
            snapshot = snapshot_of(other)
            assert snapshot is not None
            writes: tuple[Callable[[], object], ...] = (
                partial(snapshot.put, keys.CONTRACT, b""),
                partial(snapshot.put_if, keys.CONTRACT, b"", None),
                partial(snapshot.delete, keys.CONTRACT),
            )
            for write in writes:
                with pytest.raises(RegistryLocked, match="snapshot"):
                    write()
        assert registry.identity(who).name == ""


def test_a_snapshot_stays_as_it_was_and_tells_that_it_is_outdated(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with new_registry(home, video("v", [person(1)])) as registry:
        with open_registry(home=home, read_only=True) as other:
            snapshot = snapshot_of(other)
            assert snapshot is not None
            assert not snapshot.is_outdated()
            put(registry, video("w", [person(2)]))
            assert snapshot.is_outdated()
            assert other.index.count_videos() == 1
        assert snapshot_of(registry) is None
        with open_registry(home=home, read_only=True) as later:
            assert later.index.count_videos() == 2


def test_a_snapshot_lists_and_reads_like_the_store_it_was_taken_from(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with _with_decisions(home) as registry:
        blobs = registry.blobs.unguarded
        blobs.put(keys.intent("6a8dc0de-0000-5000-8000-000000000000"), b"{}")  # of a commit
        with open_registry(home=home, read_only=True) as other:
            for prefix in ("", "re", keys.RECORDS, keys.CROPS, keys.DECISIONS, "registry.json"):
                listed = [one for one in blobs.list(prefix) if not one.key.startswith(keys.INTENTS)]
                assert list(other.blobs.list(prefix)) == listed
                for info in listed:
                    assert other.blobs.get(info.key) == blobs.get(info.key)
                    assert other.blobs.get_tagged(info.key) == blobs.get_tagged(info.key)
                    assert other.blobs.exists(info.key)
            assert list(other.blobs.list(keys.INTENTS)) == []
            assert other.blobs.describe() == blobs.describe()


def test_a_run_that_goes_on_is_told_from_one_whose_process_ended(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with new_registry(home, video("v", [person(1)])) as registry, recorded(registry, "reindex"):
        with open_registry(home=home, read_only=True) as other:
            assert [one.outcome for one in runs(other)] == [RUNNING]
        with started("-c", "") as ended:
            ended.wait()
        lock = home / "lock.json"
        lock.write_text(lock.read_text().replace(str(os.getpid()), str(ended.pid)))
        with open_registry(home=home, read_only=True) as other:
            assert [one.outcome for one in runs(other)] == [DID_NOT_END]


# --- at the same time ---------------------------------------------------------------------------


class _Interrupted(FolderStore):
    """A folder in which something happens before one of the operations of a reader."""

    def __init__(self, root: Path, at: int, happens: Callable[[], object]) -> None:
        super().__init__(root, read_only=True)
        self.at, self.happens, self.operations = at, happens, 0

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self.at:
            self.happens()

    def get(self, key: str) -> bytes:
        self._count()
        return super().get(key)

    def list(self, prefix: str = "") -> Iterator[Any]:
        for info in super().list(prefix):
            self._count()
            yield info


def _committed(blobs: BlobStore) -> dict[str, bytes]:
    prefixes = (keys.RECORDS, keys.DECISIONS)
    return {info.key: blobs.get(info.key) for one in prefixes for info in blobs.list(one)}


_Step = Callable[[Registry, int], object]
CHANGES: dict[str, tuple[_Step, ...]] = {
    "new videos": (
        lambda r, n: put(r, video(f"new-{n}", [person(4)])),
        lambda r, n: put(r, video(f"newer-{n}", [person(4)])),
    ),
    "a video read again": (lambda r, n: put(r, video("b", [person(6, n / 100)])),),
    "a decision about a new video": (
        lambda r, n: put(r, video("next", [person(5), person(6, n / 100)])),
        lambda r, n: r.name(next(r.index.identities()).identity_id, f"Ada the {n}."),
    ),
    "a person erased": (lambda r, n: r.forget(next(r.index.identities()).identity_id),),
    "a video removed": (lambda r, n: r.remove_videos([next(r.index.video_ids())]),),
}


@pytest.mark.parametrize("steps", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_while_a_snapshot_is_taken_counts_whole_or_not_at_all(
    tmp_path: Path, steps: Sequence[_Step]
) -> None:
    """At operations of a first listing (1 to 6), of the reading, and of a second listing (13)."""
    home, points = tmp_path / "home", (1, 4, 7, 10, 13, 16)
    new = 0
    with new_registry(home, *(video(n, [person(i)]) for i, n in enumerate("abcde"))) as registry:
        for at in points:
            states = [_committed(registry.blobs)]

            def change(at: int = at, states: list[dict[str, bytes]] = states) -> None:
                for step in steps:
                    step(registry, at)
                    states.append(_committed(registry.blobs))

            reader = _Interrupted(home / "objects", at, change)
            taken = _committed(take_snapshot(partial(_same, reader)))
            assert len(states) == 1 + len(steps)
            assert taken in states, f"at operation {at}"
            new += taken == states[-1]
            put(registry, video(f"more-{at}", [person(at % 5)]))
    assert new > 0


def _same(reader: FolderStore) -> FolderStore:
    return reader


def test_a_snapshot_of_a_folder_that_a_restore_replaces_is_that_of_one_of_them(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    new_registry(home, video("old", [person(1)])).close()
    root = home / "objects"
    other = tmp_path / "other"
    new_registry(other, video("new", [person(2)]), video("newer", [person(2)])).close()
    shutil.copytree(other / "objects", new_folder(root))
    stores = iter((_Interrupted(root, 2, lambda: replace_folder(root)), None))
    taken = take_snapshot(lambda: next(stores) or FolderStore(root, read_only=True))
    assert len(list(taken.list(keys.RECORDS))) == 2


def test_half_a_change_of_the_model_is_not_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    new_registry(home, video("v", [person(1)])).close()
    blobs = FolderStore(home / "objects")
    blobs.put(keys.intent(SWITCH), b"{}")
    with pytest.raises(RegistryLocked, match="change of the model"):
        take_snapshot(lambda: FolderStore(home / "objects", read_only=True), patience_s=0.2)


ERASURES: dict[str, Callable[[Registry], object]] = {
    "a person": lambda registry: registry.forget("Zoë", block=True),
    "a person who was merged": lambda registry: registry.forget("Ada"),
    "a video that others count as": lambda registry: registry.remove_videos(
        ["https://example.com/v1.mp4"]
    ),
}


@pytest.mark.parametrize("erase", ERASURES.values(), ids=ERASURES.keys())
def test_a_snapshot_during_an_erasure_shows_nothing_of_what_is_erased(
    tmp_path: Path, erase: Callable[[Registry], object]
) -> None:
    """After each change to the objects in turn."""
    template = tmp_path / "template"
    with _with_decisions(template) as registry:
        before = state_of(registry)
    states: list[str] = []
    for changes in range(200):
        home = tmp_path / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template / "objects", home / "objects")
        blobs = FailingFolder(home / "objects", changes)
        writer = Registry(load_settings(home=home), blobs, index_in_memory(blobs))
        complete = False
        try:
            erase(writer)
            complete = True
        except StoreUnreachable:
            pass
        with open_registry(home=home, read_only=True) as reader:
            states.append(state_of(reader))
            face = next(reader.index.faces())
            if (home / "objects" / keys.intent(ERASE)).exists():
                with pytest.raises(RegistryLocked, match="until then no face image"):
                    reader.crop(face.crop, face.crop_digest)
            else:
                assert reader.crop(face.crop, face.crop_digest)
        if complete:
            break
    assert states[0] == before, "nothing is done before the plan is written"
    assert len(states) > 10
    assert states[-1] != before
    assert set(states[1:]) == {states[-1]}


@pytest.mark.parametrize(
    ("reads", "different"), [(60, 20), pytest.param(200, 50, marks=pytest.mark.slow)]
)
def test_each_read_beside_a_busy_writer_is_a_state_that_was_committed(
    tmp_path: Path, reads: int, different: int
) -> None:
    home, log, enough = tmp_path / "home", tmp_path / "log", tmp_path / "enough"
    shown: list[tuple[int, str]] = []
    with started("-m", "tests.core.busy_writer", str(home), str(log), str(enough)) as writer:
        until(lambda: log.exists() and log.read_text(), writer)
        while len(shown) < reads or len({state for _, state in shown}) < different:
            assert writer.poll() is None, writer.communicate()
            known = log.read_text().count("\n")
            with open_registry(home=home, read_only=True) as registry:
                shown.append((known, state_of(registry)))
        enough.touch()
        assert writer.wait(timeout=100) == 0, writer.communicate()
    states, place = log.read_text().split(), 0
    for known, state in shown:
        place = max(place, known - 1)  # what was committed before the read is in it
        assert state in states[place:]
        place = states.index(state, place)


@pytest.mark.parametrize(
    ("rows", "reads"), [(4, 3), pytest.param(VIDEOS, 30, marks=pytest.mark.slow)]
)
def test_reports_during_an_ingest_are_those_of_the_first_rows(
    tmp_path: Path, table: Path, rows: int, reads: int
) -> None:
    home, short = tmp_path / "home", _first_rows(table, rows)
    ingest = ("-c", COMMAND, "--home", str(home), "ingest", str(short), "--workers", "1")
    reports: list[list[dict[str, Any]]] = []
    with started(*ingest, "--every", "1") as writer:
        until(lambda: list(home.glob("objects/records/*")), writer)
        beside = 0
        while len(reports) < reads:
            done = call_here(home, "report", "--json")
            assert done.exit_code == 0, done.stderr
            if "snapshot: what was committed by 20" in done.stderr:
                assert f"is in use by process {writer.pid}" in done.stderr
                beside += 1
            reports.append(json.loads(done.stdout)["rows"])
        assert beside > reads // 2, "the ingest is too short"
        assert writer.wait(timeout=100) == 0, writer.communicate()
    expected = _reports_of_the_first_rows(home, tmp_path / "parts")
    place = 0
    for shown in reports:
        assert shown in expected[place:]
        place = expected.index(shown)


def _reports_of_the_first_rows(home: Path, scratch: Path) -> list[list[dict[str, Any]]]:
    """What `report --json` says after one row of the table, after two, and so on."""
    with open_registry(home=home, read_only=True) as registry:
        videos = sorted(registry.index.videos(), key=lambda one: one.metrics["Performance"])
    expected = []
    for rows in range(1, len(videos) + 1):
        part = scratch / str(rows)
        crops = shutil.ignore_patterns("crops")
        shutil.copytree(home / "objects", part / "objects", ignore=crops)
        for gone in videos[rows:]:
            (part / "objects" / keys.record(gone.video_id)).unlink()
        with open_registry(home=part, read_only=True) as registry:
            found = make_report(registry, (), Selection()).table.to_dict(orient="records")
        expected.append(json.loads(json.dumps(found).replace("NaN", "null")))
    return expected


# --- where another process has the registry open, or nothing can be written -----------------------


def _places(ingested: Path, table: Path, out: Path, picture: Image) -> dict[str, str]:
    out.mkdir()
    photos = out / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "photo.jpg"), picture)
    with open_registry(home=ingested, read_only=True) as registry:
        person = next(registry.index.identities(provisional=False))
        return {
            "out": str(out), "photo": str(photos / "photo.jpg"), "photos": str(photos),
            "video": (table.parent / "0.mp4").as_uri(), "identity": person.identity_id,
        }  # fmt: skip


def test_all_readers_work_while_a_python_process_has_the_registry_open(
    ingested: Path, table: Path, tmp_path: Path, picture: Image
) -> None:
    places = _places(ingested, table, tmp_path / "out", picture)
    commands = [tuple(word.format(**places) for word in words) for words in READERS]
    written = [tmp_path / "out" / name for name in ("r.csv", "r.zip", "l.csv")]
    free = [call_here(ingested, *words) for words in commands]
    files = [path.read_bytes() for path in written]
    with started("-c", HOLD_OPEN, str(ingested)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        before = files_of(ingested)
        for words, alone in zip(commands, free, strict=True):
            assert alone.exit_code == 0, alone.stderr
            done = call_here(ingested, *words)
            assert done.exit_code == 0, (words, done.stderr, done.exception)
            assert f"in use by process {holder.pid} since 20" in done.stderr
            assert _comparable(words, done.stdout) == _comparable(words, alone.stdout)
        assert [path.read_bytes() for path in written] == files
        refused = call_here(ingested, "identities", "consolidate")
        assert refused.exit_code == 1
        assert f"in use by process {holder.pid} since 20" in str(refused.exception)
        assert "registry.close()" in str(refused.exception)
        assert files_of(ingested) == before


def _comparable(words: tuple[str, ...], said: str) -> Any:
    """What a command printed, without what differs: where the index is, and last digits."""
    if "--json" not in words:
        return said
    document = json.loads(said, parse_float=lambda text: round(float(text), 4))
    document.pop("index", None)
    return document


def _unwritable(home: Path) -> Iterator[tuple[str, ...]]:
    """Makes a home read-only, and yields what to put before a command so that this holds for it."""
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    yield ("setpriv", "--bounding-set=-dac_override") if is_root() else ()
    for folder in folders:
        folder.chmod(0o700)


@pytest.fixture
def unwritable(ingested: Path, tmp_path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A home that cannot be written, and the beginning of commands for which this is so."""
    if is_root() and not shutil.which("setpriv"):
        pytest.skip("root without setpriv may write everywhere")
    home = tmp_path / "home"
    copy_home(ingested, home)
    for before in _unwritable(home):
        yield home, before


def test_a_home_without_write_permission_is_read_and_saved(
    unwritable: tuple[Path, tuple[str, ...]], table: Path, tmp_path: Path, picture: Image
) -> None:
    home, before = unwritable
    places = _places(home, table, tmp_path / "out", picture)
    files = files_of(home)
    archive = str(tmp_path / "saved.zip")
    commands = [
        [word.format(**places) for word in words]
        for words in (*READERS[:2], READERS[2], READERS[11], ("backup", archive))
    ]
    for words, (code, said) in zip(commands, run_all(home, commands, before), strict=True):
        assert code == 0, (words, said)
        assert f"because this process may not write in {home}" in said
    assert files_of(home) == files
    restored = tmp_path / "restored"
    assert call_here(restored, "restore", archive).exit_code == 0
    dumps = [call_here(each, "status", "--dump") for each in (restored, _copied(home, tmp_path))]
    assert [dumped.exit_code for dumped in dumps] == [0, 0]
    assert dumps[0].stdout == dumps[1].stdout


def _copied(home: Path, tmp_path: Path) -> Path:
    copy = copy_home(home, tmp_path / "copy")
    for path in (copy, *copy.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    return copy


@pytest.mark.parametrize("words", [("status",), ("status", "--runs"), ("report",), ("backup", "b")])
def test_a_mistyped_home_is_not_created(tmp_path: Path, words: tuple[str, ...]) -> None:
    home = tmp_path / "hmoe"
    done = call_here(home, *words)
    assert not home.exists()
    assert done.exit_code == (0 if words[0] == "status" else 1)
    if words == ("status",):
        assert f"There is no folder {home}." in done.stderr
        assert f"home                    {home}" in done.stdout
    else:
        said = done.stderr + str(done.exception)
        assert "face-registry ingest" in said or words == ("status", "--runs")


def test_a_registry_that_is_free_is_read_as_usual(tmp_path: Path) -> None:
    home = tmp_path / "home"
    new_registry(home, video("v", [person(1)])).close()
    said: list[str] = []
    with open_to_read(load_settings(home=home), say=said.append) as registry:
        assert snapshot_of(registry) is None
    assert said == []


# --- crops that are gone --------------------------------------------------------------------------


def test_an_export_whose_pictures_were_replaced_is_made_again(tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "faces.zip"
    terminal = Terminal(given={"home": home, "device": "cpu"})  # or the writer's is given back
    with new_registry(home, video("a", [person(1)]), video("b", [person(2)])) as writer:
        attempts = []

        @repeat_if_outdated
        def export() -> int:
            with terminal.open_to_read() as registry:
                attempts.append(registry)
                if len(attempts) == 1:
                    writer.remove_videos(["https://example.com/b.mp4"])
                return write_zip(registry, path)

        assert export() == 1
        assert len(attempts) == 2

        @repeat_if_outdated
        def export_while_it_changes() -> int:
            with terminal.open_to_read() as registry:
                attempts.append(registry)
                put(writer, video(f"c{len(attempts)}", [person(3)]))
                writer.blobs.unguarded.delete(next(registry.index.faces()).crop)
                return write_zip(registry, path)

        with pytest.raises(SnapshotOutdated, match="changed while it was read"):
            export_while_it_changes()


def test_a_damaged_picture_is_an_error_of_its_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    terminal = Terminal(given={"home": home, "device": "cpu"})  # or the writer's is given back
    with new_registry(home, video("a", [person(1)])) as writer:
        writer.blobs.unguarded.put(next(writer.index.faces()).crop, b"something else")
        with (
            pytest.raises(StoreCorrupt, match="is damaged"),
            terminal.open_to_read() as registry,
        ):
            write_zip(registry, tmp_path / "faces.zip")
