"""What every object store does, asked of each of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.blobs.base import BlobInfo, BlobStore
from registry.errors import ObjectMissing, StoreError

NOT_KEYS = {
    "empty": "",
    "the folder above": "../etc/passwd",
    "a folder above on the way": "crops/../../etc/passwd",
    "this folder": "crops/./a",
    "absolute": "/etc/passwd",
    "folder": "crops/",
    "empty name": "crops//a",
    "hidden": ".hidden",
    "hidden folder": "crops/.hidden/a",
    "NUL": "crops/a\0.jpg",
    "line end": "crops/a\n",
    "backslash": "crops\\a",
    "blank": "crops/a b",
    "drive": "C:/a",
    "percent": "crops/%2e%2e",
    "not ASCII": "crops/ü",
    "too long": "a/" * 256 + "a",
    "a name too long": "a" * 256,
    "a device of Windows": "crops/con",
    "a device with a suffix": "crops/nul.json",
    "a dot at the end, which Windows drops": "crops/a.",
    "a blank at the end, which Windows drops": "crops/a ",
    "differs from another key in case alone": "crops/A",
    "a time in lower case": "runs/20261127t101500z-ab12.json",
    "a pipe": "crops/a|b",
}
METHODS: dict[str, Callable[[BlobStore, str], object]] = {
    "put": lambda store, key: store.put(key, b"x"),
    "get": lambda store, key: store.get(key),
    "exists": lambda store, key: store.exists(key),
    "delete": lambda store, key: store.delete(key),
}

# Few letters, and both that sort before the slash, so that names are often starts of others.
NAMES = st.from_regex(r"[ab0_-]([ab0._-]{0,2}[ab0_-])?", fullmatch=True)
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def _without_folders(keys: set[str]) -> set[str]:
    """Leave out keys that are folders of others, which stores may refuse."""
    folders = {
        "/".join(parts)
        for key in keys
        for parts in itertools.accumulate(
            ([name] for name in key.split("/")[:-1]), lambda one, two: one + two
        )
    }
    return keys - folders


KEY_SETS = st.sets(KEYS, max_size=12).map(_without_folders)


def listed(store: BlobStore, prefix: str = "") -> list[str]:
    return [blob.key for blob in store.list(prefix)]


def test_an_object_comes_back_as_it_was_put(store: BlobStore) -> None:
    store.put("crops/v1/0_0.jpg", b"face")
    assert store.get("crops/v1/0_0.jpg") == b"face"
    assert store.exists("crops/v1/0_0.jpg")


def test_a_second_put_replaces_the_first(store: BlobStore) -> None:
    store.put("videos/v1.parquet", b"a longer first version")
    store.put("videos/v1.parquet", b"second")
    assert store.get("videos/v1.parquet") == b"second"
    assert list(store.list()) == [BlobInfo("videos/v1.parquet", 6)]


def test_many_objects_are_written_at_once(store: BlobStore) -> None:
    objects = {f"crops/{n % 3}/{n}.jpg": bytes([n]) * (n + 1) for n in range(20)}
    store.put_many({})
    store.put_many({"crops/0/0.jpg": b"replaced"})
    store.put_many(objects)
    assert {key: store.get(key) for key in objects} == objects
    assert sorted(info.key for info in store.list("crops/")) == sorted(objects)
    with pytest.raises(StoreError):
        store.put_many({"a": b"1", "../b": b"2"})


def test_an_object_may_be_empty(store: BlobStore) -> None:
    store.put("intents/reindex", b"")
    assert store.get("intents/reindex") == b""
    assert store.exists("intents/reindex")
    assert list(store.list("intents/")) == [BlobInfo("intents/reindex", 0)]


def test_a_listing_tells_that_other_bytes_were_written(store: BlobStore) -> None:
    store.put("records/a", b"one")
    store.put("records/b", b"one")
    first, other = (info.version for info in store.list("records/"))
    store.put("records/a", b"two")
    second, same = (info.version for info in store.list("records/"))
    assert first
    assert second != first
    assert same == other


@pytest.mark.parametrize("size", [5 * 2**20 - 1, 5 * 2**20 + 1])
def test_an_object_may_be_larger_than_one_part(store: BlobStore, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    store.put("videos/large.parquet", data[:size])
    assert store.get("videos/large.parquet") == data[:size]


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)), b"\r\n\0\x1a\xff", b"<?xml version='1.0'?><Error/>", b"\x1f\x8b\x08"],
)
def test_bytes_are_not_interpreted(store: BlobStore, data: bytes) -> None:
    store.put("a.xml", data)
    assert store.get("a.xml") == data


def test_a_key_may_be_as_long_as_the_contract_says(store: BlobStore) -> None:
    key = "/".join(["n" * 255, "m" * 200, "k" * 55])
    assert len(key) == 512
    store.put(key, b"x")
    assert store.get(key) == b"x"
    assert listed(store, "n") == [key]


def test_what_is_missing_is_missing(store: BlobStore) -> None:
    store.put("crops/v1/0_0.jpg", b"x")
    for key in ("crops/v1/0_1.jpg", "crops/v2/0_0.jpg", "crops", "crops/v1", "crops/v1/0_0.jpg/a"):
        assert not store.exists(key)
        with pytest.raises(ObjectMissing, match=key):
            store.get(key)


def test_a_deleted_object_is_gone_and_may_come_back(store: BlobStore) -> None:
    store.put("crops/v1/0_0.jpg", b"x")
    store.delete("crops/v1/0_0.jpg")
    assert not store.exists("crops/v1/0_0.jpg")
    assert listed(store) == []
    store.put("crops/v1/0_0.jpg", b"y")
    assert store.get("crops/v1/0_0.jpg") == b"y"


def test_deleting_what_is_not_there_does_nothing(store: BlobStore) -> None:
    store.put("crops/v1/0_0.jpg", b"x")
    for key in ("crops/v1/0_1.jpg", "other", "crops", "crops/v1", "crops/v1/0_0.jpg/a"):
        store.delete(key)
    assert listed(store) == ["crops/v1/0_0.jpg"]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_key_is_refused(store: BlobStore, method: str) -> None:
    for why, key in NOT_KEYS.items():
        with pytest.raises(StoreError, match="is not an object key"):
            METHODS[method](store, key)
            pytest.fail(f"{method} took {key!r} ({why})")


def test_a_prefix_that_starts_no_key_lists_nothing(store: BlobStore) -> None:
    store.put("crops/a", b"x")
    long = "a" * 600
    for prefix in ("/", "..", "../", "crops/../", "crops//", ".", "\0", "crops\\", "ü", long):
        assert listed(store, prefix) == [], prefix


def test_the_order_is_that_of_the_whole_key(store: BlobStore) -> None:
    keys = ["a-", "a-/x", "a-b", "a-b.c", "a.0", "a.0/2", "a.-/1", "a.b", "a/x", "a/x-y/z",
            "a/x.y", "a0", "20261127T101500Z/x", "ab-c/1", "ab/c", "b/a-x", "b/a.x", "b/a/x",
            "_"]  # fmt: skip
    keys = sorted(_without_folders(set(keys)))
    for key in reversed(keys):
        store.put(key, b"x")
    assert listed(store) == keys
    for prefix in ("a", "a-", "a/", "a/x", "b/a", "ab", "nothing"):
        assert listed(store, prefix) == [key for key in keys if key.startswith(prefix)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(keys=KEY_SETS, data=st.data())
def test_any_keys_are_listed_in_order_by_any_prefix(
    new_store: Callable[[], BlobStore], keys: set[str], data: st.DataObject
) -> None:
    store = new_store()
    for key in keys:
        store.put(key, key.encode())
    starts = [key[:end] for key in sorted(keys) for end in range(len(key) + 1)] or [""]
    prefix = data.draw(st.sampled_from(starts) | KEYS)
    assert list(store.list(prefix)) == [
        BlobInfo(key, len(key)) for key in sorted(keys) if key.startswith(prefix)
    ]
    gone = data.draw(st.sets(st.sampled_from(sorted(keys)))) if keys else set()
    for key in gone:
        store.delete(key)
    assert listed(store) == sorted(keys - gone)
    assert all(store.get(key) == key.encode() for key in keys - gone)


def test_threads_do_not_disturb_each_other(store: BlobStore) -> None:
    def work(number: int) -> list[str]:
        own = [f"t{number}/{i}.jpg" for i in range(10)]
        for key in own:
            store.put(key, key.encode() * 100)
            store.put("shared", b"%d" % number * 10_000)
        assert [store.get(key) for key in own] == [key.encode() * 100 for key in own]
        assert len(set(store.get("shared"))) <= 2
        assert set(own) <= set(listed(store))
        assert listed(store, f"t{number}/") == sorted(own)
        for key in own[5:]:
            store.delete(key)
        return own[:5]

    with ThreadPoolExecutor(20) as threads:
        kept = [key for own in threads.map(work, range(20)) for key in own]
    assert listed(store) == sorted([*kept, "shared"])


def test_puts_and_deletes_in_one_folder_do_not_lose_objects(store: BlobStore) -> None:
    # A delete that empties a folder removes it, just when a put beside it may need it.
    def work(number: int) -> None:
        for _ in range(30):
            store.put(f"deep/er/{number}", b"x")
            assert store.exists(f"deep/er/{number}")
            store.delete(f"deep/er/{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert listed(store) == []


def test_a_listing_that_is_left_early_does_no_harm(store: BlobStore) -> None:
    for i in range(5):
        store.put(f"a/{i}", b"x")
    assert next(store.list("a/")).key == "a/0"
    assert len(listed(store)) == 5


def test_closing_twice_is_fine(store: BlobStore) -> None:
    store.put("a", b"x")
    store.close()
    store.close()


def test_it_says_what_it_is_in_a_line(store: BlobStore) -> None:
    assert re.fullmatch("(folder (/|[A-Z]:)|bucket frt-).+", store.describe())
