"""What is sent to a Qdrant server, field by field, and what a server in strict mode refuses."""

from __future__ import annotations

import pytest

from registry.errors import StoreDenied, StoreError
from registry.store.base import Filter
from registry.store.server import ServerStore
from tests.support.points import FACES, VIDEOS, face, random_units, uid, video
from tests.support.qdrant_served import serve_qdrant

SENT = """
DELETE /collections/*
GET /collections/*
GET /collections/*/exists
POST /collections/*/points ids[]
POST /collections/*/points with_payload
POST /collections/*/points with_vector
POST /collections/*/points/count exact
POST /collections/*/points/count filter must[] key
POST /collections/*/points/count filter must[] match any[]
POST /collections/*/points/count filter must_not[] key
POST /collections/*/points/count filter must_not[] match any[]
POST /collections/*/points/delete filter must[] key
POST /collections/*/points/delete filter must[] match any[]
POST /collections/*/points/delete filter must_not[] key
POST /collections/*/points/delete filter must_not[] match any[]
POST /collections/*/points/payload filter must[] key
POST /collections/*/points/payload filter must[] match any[]
POST /collections/*/points/payload filter must_not[] key
POST /collections/*/points/payload filter must_not[] match any[]
POST /collections/*/points/payload payload
POST /collections/*/points/query/batch searches[] filter must[] key
POST /collections/*/points/query/batch searches[] filter must[] match any[]
POST /collections/*/points/query/batch searches[] filter must_not[] key
POST /collections/*/points/query/batch searches[] filter must_not[] match any[]
POST /collections/*/points/query/batch searches[] limit
POST /collections/*/points/query/batch searches[] params exact
POST /collections/*/points/query/batch searches[] params hnsw_ef
POST /collections/*/points/query/batch searches[] params quantization ignore
POST /collections/*/points/query/batch searches[] params quantization oversampling
POST /collections/*/points/query/batch searches[] params quantization rescore
POST /collections/*/points/query/batch searches[] query nearest[]
POST /collections/*/points/query/batch searches[] with_payload
POST /collections/*/points/scroll filter must[] key
POST /collections/*/points/scroll filter must[] match any[]
POST /collections/*/points/scroll filter must_not[] key
POST /collections/*/points/scroll filter must_not[] match any[]
POST /collections/*/points/scroll limit
POST /collections/*/points/scroll with_payload
POST /collections/*/points/scroll with_vector
PUT /collections/* on_disk_payload
PUT /collections/* quantization_config scalar always_ram
PUT /collections/* quantization_config scalar quantile
PUT /collections/* quantization_config scalar type
PUT /collections/* replication_factor
PUT /collections/* shard_number
PUT /collections/* vectors distance
PUT /collections/* vectors on_disk
PUT /collections/* vectors size
PUT /collections/* write_consistency_factor
PUT /collections/*/index field_name
PUT /collections/*/index field_schema
PUT /collections/*/points points[] id
PUT /collections/*/points points[] payload
PUT /collections/*/points points[] vector[]
"""
"""Qdrant 1.18 to 1.20 take all of these. 1.20 calls `on_disk`, `on_disk_payload` and `always_ram`
deprecated; what takes their place (`memory`) 1.18 does not know."""


def everything(url: str) -> None:
    """Every request that the store can make."""
    store = ServerStore(
        url, "key", shard_number=1, replication_factor=2, on_disk=True, quantization="scalar"
    )
    faces, videos = store.open(FACES), store.open(VIDEOS)
    of_a = Filter(must={"video_id": ["a"]}, must_not={"identity_id": ["x"]})
    faces.upsert([face(1, 1, 0, 0, 0, video_id="a"), face(2, 0, 1, 0, 0, video_id="b")])
    videos.upsert([video(1, video_id="a")])
    for exact in (True, False):
        faces.query(random_units(2, 4, 1), limit=1, where=of_a, exact=exact)
    faces.get([uid(1)], with_vectors=True)
    assert len(list(faces.scroll(of_a, with_vectors=True))) == 1
    faces.set_payload({"metrics": {"Views": 1.0}}, of_a)
    assert faces.count(of_a) == 1
    faces.delete(of_a)
    assert faces.count() == 1
    store.drop("faces")
    assert not store.has("faces")
    store.close()


def test_nothing_is_sent_that_a_supported_server_does_not_know() -> None:
    with serve_qdrant(api_key="key") as served:
        everything(served.url)
    assert served.engine.sent == set(SENT.split("\n")) - {""}


def test_a_filter_on_a_field_without_an_index_is_refused_as_in_strict_mode() -> None:
    with serve_qdrant() as served:
        store = ServerStore(served.url, None)
        faces = store.open(FACES)
        with pytest.raises(StoreError, match="400: Bad request: Index required but not found"):
            faces.count(Filter(must={"frame": ["1"]}))
        store.close()


def test_an_unknown_key_is_said_without_its_value() -> None:
    with serve_qdrant(api_key="key") as served:
        store = ServerStore(served.url, "another-key")
        with pytest.raises(StoreDenied, match=r"refused the credentials \(401\)") as caught:
            store.open(FACES)
        assert "another-key" not in str(caught.value)
        store.close()
