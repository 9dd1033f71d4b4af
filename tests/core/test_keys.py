"""Where objects lie: one module spells the keys, and the documentation names each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from registry.blobs.base import is_key
from registry.core import keys
from tests.support.structure import ROOT, modules

KEYS = {name: value for name, value in vars(keys).items() if name.isupper()}
SPELLED = sorted({*keys.DURABLE, *keys.TRANSIENT})


def literals(source: str) -> Iterator[str]:
    """Every string in the source but documentation, the fixed parts of f-strings included."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and id(node) not in documentation:
            yield value


def spelled(source: str) -> list[str]:
    """The strings in which a key or the beginning of keys is written out; not paths of pages."""
    return [
        text
        for text in literals(source)
        if not text.startswith("/") and any(key in text for key in SPELLED)
    ]


def test_every_key_is_either_durable_or_transient() -> None:
    given = {value for value in KEYS.values() if isinstance(value, str)} - {keys.RECORD_SUFFIX}
    assert given == set(SPELLED)
    assert not set(keys.DURABLE) & set(keys.TRANSIENT)


def test_no_other_module_spells_a_key() -> None:
    others = {name: path for name, path in modules().items() if name != keys.__name__}
    assert {name: texts for name in others if (texts := spelled(others[name].read_text()))} == {}


def test_a_spelled_key_is_found() -> None:
    source = '''
"""records/ in documentation is fine."""
def put(blobs, video):
    blobs.put(f"crops/{video}/0_0.jpg", b"")
    return "lease.json"
'''
    assert sorted(spelled(source)) == ["crops/", "lease.json"]


def test_the_page_of_formats_names_every_key() -> None:
    page = (ROOT / "docs" / "FORMATS.md").read_text()
    assert [key for key in SPELLED if f"`{key}" not in page] == []


def test_keys_are_keys_and_give_their_ids_back() -> None:
    video = "00000000-0000-4000-8000-00000000000a"
    assert keys.crop(video, 20, 1) == f"crops/{video}/20_1.jpg"
    assert keys.crop(video, 20, 1).startswith(keys.crops_of(video))
    assert keys.staged(keys.record(video)) == f"next/records/{video}.parquet"
    assert keys.rewrite(keys.decision(7)) == "rewrites/decisions/0000000007.json"
    for make in (keys.record, keys.run, keys.reread, keys.block, keys.receipt, keys.intent):
        assert is_key(make(video))
        assert keys.name_in(make(video)) == video
