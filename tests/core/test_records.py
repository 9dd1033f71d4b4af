"""A record gives back what was put, or says that it is damaged; never anything else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.blobs.folder import FolderStore
from registry.core import records as records_module
from registry.core.records import ROW_GROUP, RecordStore, decode_record, encode_record
from registry.domain import Content, Face, MetricValue, Source, Video, Weighted
from registry.errors import StoreCorrupt
from registry.faces.face_table import FaceTable
from registry.urls import Url
from tests.support.factories import DIMENSION, face, person, video

OF_SCHEMA_1 = "0b46fdaf1cc4dee6c8107e62535ece750af48822eac533abb8f6180c1dfe172b"
"""The digest of a record without faces."""


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RecordStore]:
    blobs = FolderStore(tmp_path / "objects")
    yield RecordStore(blobs, DIMENSION)
    blobs.close()


def _equal(a: Video, b: Video) -> bool:
    """Dataclass equality does not do for arrays; the bytes say it all."""
    return encode_record(a, DIMENSION) == encode_record(b, DIMENSION)


def test_what_is_put_comes_back(records: RecordStore) -> None:
    put = video("a", [person(0), person(1), person(2)], metrics={"Performance": 2.5, "Views": 7.0})
    records.put(put)
    back = records.get(put.video_id)
    assert back is not None
    assert _equal(back, put)
    assert back.faces[1].landmarks.shape == (5, 2)
    assert np.array_equal(back.faces[1].embedding, person(1))


def test_what_is_known_of_file_and_rows_comes_back(records: RecordStore) -> None:
    put = replace(
        video("a", [person(0)]),
        content=Content("ab" * 32, 1234),
        names=(Url("https://example.com/b.mp4"),),
        dropped=("utm_source",),
        source=Source(1234, "2026-10-01T10:00:00.000000+00:00", '"e"'),
        attributes={"Platform": "TikTok", "Day": ("2026-06-01", "2026-06-02"), "Length": 3.5},
        weights={"Performance": Weighted(4.0, 4.0)},
        history={"Performance": (MetricValue("r1", 2.0), MetricValue("r2", 1.0, Weighted(4, 4)))},
    )
    records.put(put)
    back = records.get(put.video_id)
    assert back is not None
    assert replace(back, faces=()) == replace(put, faces=())


def test_a_record_without_them_has_the_bytes_of_schema_1() -> None:
    """Computed by the version before schema 2."""
    head = json.loads(
        pq.read_schema(io.BytesIO(encode_record(video("a", []), DIMENSION))).metadata[
            b"face_registry"
        ]
    )
    assert head["digest"] == OF_SCHEMA_1
    assert set(head) == {
        *("schema", "video_id", "url", "metrics", "status", "reason", "run", "media", "digest")
    }


def test_a_video_without_faces_has_a_record_too(records: RecordStore) -> None:
    put = video("empty", [], metrics={})
    records.put(put)
    back = records.get(put.video_id)
    assert back is not None
    assert back.faces == ()
    assert back.metrics == {}


def test_no_record_is_none(records: RecordStore) -> None:
    assert records.get("nobody") is None


def test_records_come_in_order_of_id(records: RecordStore) -> None:
    videos = [video(name, [person(0)]) for name in "abcd"]
    for one in videos:
        records.put(one)
    expected = sorted(v.video_id for v in videos)
    assert list(records.ids()) == expected
    assert [v.video_id for v in records.all()] == expected
    records.delete(expected[0])
    assert list(records.ids()) == expected[1:]


def test_a_record_under_another_videos_name_is_damage(records: RecordStore, tmp_path: Path) -> None:
    a, b = video("a", [person(0)]), video("b", [person(1)])
    records.put(a)
    records.put(b)
    folder = tmp_path / "objects" / "records"
    (folder / f"{b.video_id}.parquet").write_bytes((folder / f"{a.video_id}.parquet").read_bytes())
    with pytest.raises(StoreCorrupt, match=f"{b.video_id}.parquet is that of video {a.video_id}"):
        records.get(b.video_id)


def test_files_that_are_named_otherwise_are_none_of_ours(
    records: RecordStore, tmp_path: Path
) -> None:
    records.put(video("a", [person(0)]))
    (tmp_path / "objects" / "records" / "copy.parquet").write_bytes(b"{}")
    assert len(list(records.all())) == 1


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.lists(st.text("ü☃a", max_size=3), max_size=3),
        ),
        max_size=5,
    )
)
def test_columns_are_those_that_pyarrow_makes_of_python_objects(
    rows: list[tuple[int, float, str, list[str]]],
) -> None:
    whole, texts, lists = (
        [row[0] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )
    numbers = [row[1] for row in rows]
    for values, kind in (
        (whole, pa.int64()),
        (whole, pa.int32()),
        (numbers, pa.float64()),
        (texts, pa.string()),
        (lists, pa.list_(pa.string())),
        ([[x, -x] for x in numbers], pa.list_(pa.float32(), 2)),
    ):
        made, expected = records_module._array(values, kind), pa.array(values, type=kind)
        made.validate(full=True)
        assert made.type == expected.type
        assert repr(made.to_pylist()) == repr(expected.to_pylist())  # NaN equals NaN


def test_pandas_is_not_imported_to_write_a_record() -> None:
    code = (
        "import sys\n"
        "from registry.core.records import encode_record\n"
        "from tests.support.factories import DIMENSION, person, video\n"
        "encode_record(video('a', [person(0)]), DIMENSION)\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def many_faces() -> list[Face]:
    return [face("a", 10 * n, person(n % 7, n / 9000)) for n in range(ROW_GROUP + 1)]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_long_video_has_row_groups_and_comes_back(more: int, many_faces: list[Face]) -> None:
    put = replace(video("a", []), faces=FaceTable.of(many_faces[: ROW_GROUP + more]))
    data = encode_record(put, DIMENSION)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.num_row_groups == (2 if more > 0 else 1)
    back = decode_record(data, "test")
    assert len(back.faces) == len(put.faces)
    assert encode_record(back, DIMENSION) == data


def test_pandas_opens_a_record() -> None:
    table = pd.read_parquet(
        io.BytesIO(encode_record(video("a", [person(0), person(1)]), DIMENSION))
    )
    assert list(table["frame"]) == [0, 10]
    assert len(table["embedding"][0]) == DIMENSION


def test_all_records_are_one_data_set(records: RecordStore, tmp_path: Path) -> None:
    """As docs/FORMATS.md says: a row a face, the video in the name of its file."""
    videos = [
        video("a", [person(0), person(1)], metrics={"Views": 1.0}),
        replace(video("b", [person(2)]), content=Content("ab" * 32, 1234)),
        video("without faces", []),
    ]
    for one in videos:
        records.put(one)
    data = ds.dataset(tmp_path / "objects" / "records", format="parquet")
    assert len(data.files) == len(videos)
    columns = ["__filename", "face_id", "crop", "embedding"]
    rows = data.to_table(columns=columns).to_pylist()
    expected = {face.face_id: one.video_id for one in videos for face in one.faces}
    assert {row["face_id"]: Path(row["__filename"]).stem for row in rows} == expected
    assert all(row["crop"].split("/")[1] == expected[row["face_id"]] for row in rows)
    assert all(len(row["embedding"]) == DIMENSION for row in rows)


_BYTES = encode_record(video("a", [person(0), person(1)]), DIMENSION)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(_BYTES) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_damage_or_changes_nothing(place: int, flip: int) -> None:
    """Some bytes of a Parquet file mean nothing to its content; none may change it unnoticed."""
    broken = bytearray(_BYTES)
    broken[place] ^= flip
    try:
        back = decode_record(bytes(broken), "test")
    except StoreCorrupt as exc:
        assert "Record test is damaged" in str(exc)
    else:
        assert encode_record(back, DIMENSION) == _BYTES


@pytest.mark.parametrize("keep", [0, 1, 100, len(_BYTES) // 2, len(_BYTES) - 1])
def test_a_torn_record_is_damage(keep: int) -> None:
    with pytest.raises(StoreCorrupt, match="damaged"):
        decode_record(_BYTES[:keep], "test")
