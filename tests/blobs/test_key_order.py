from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from registry.blobs.base import BlobInfo
from registry.blobs.minio_store import in_key_order
from tests.blobs.test_contract import KEYS


def folder_by_folder(key: str) -> list[str]:
    """The order of a server that keeps a tree of files."""
    return key.split("/")


@given(keys=st.sets(KEYS, max_size=40), data=st.data())
@example(keys={"a/x", "a-b", "a.b", "a-/x", "a"}, data=None)
def test_any_listing_comes_out_in_key_order(keys: set[str], data: st.DataObject | None) -> None:
    starts = sorted({key[:end] for key in keys for end in range(len(key) + 1)} | {""})
    prefix = data.draw(st.sampled_from(starts)) if data else ""
    wanted = [BlobInfo(key, 1) for key in sorted(keys) if key.startswith(prefix)]
    base = prefix.rfind("/") + 1
    for order in (None, folder_by_folder):
        found = sorted((blob.key for blob in wanted), key=order)
        assert list(in_key_order((BlobInfo(key, 1) for key in found), base)) == wanted


def test_no_more_than_one_folder_is_held_back() -> None:
    keys = [f"crops/v{video}/{face}.jpg" for video in range(9) for face in range(5)]
    asked = 0

    def listing() -> Iterator[BlobInfo]:
        nonlocal asked
        for key in keys:
            asked += 1
            yield BlobInfo(key, 1)

    for turn, _ in enumerate(in_key_order(listing(), len("crops/"))):
        assert asked <= turn + 6


def test_files_of_one_folder_are_not_held_back_at_all() -> None:
    asked = []

    def listing() -> Iterator[BlobInfo]:
        for key in ("crops/v1/0.jpg", "crops/v1/1.jpg"):
            asked.append(key)
            yield BlobInfo(key, 1)

    first = next(in_key_order(listing(), len("crops/v1/")))
    assert [first.key] == asked
