"""The keys of a registry's objects: what lies where. No other module spells one out.

A constant that ends in `/` or `-` is the beginning of many keys; the others are keys. The functions
make the key of one object.
"""

from __future__ import annotations

CONTRACT = "registry.json"
"""The contract: model, threshold, sampling, schema (`registry.core.contract`)."""
RECORDS = "records/"
"""One Parquet object for each video (`registry.core.records`)."""
RECORD_SUFFIX = ".parquet"
CROPS = "crops/"
"""The pictures of faces as JPEG, those of a video under its id."""
DECISIONS = "decisions/"
"""The log of what people decided, one JSON object an entry (`registry.core.decisions`)."""
RUNS = "runs/"
"""The history of runs, one JSON object each (`registry.core.runs`)."""
REREADS = "rereads/"
"""An empty object for each video that the next ingest of its URL reads again."""
TABLE = "table.json"
"""How the registry's tables are read (`registry.core.table_settings`)."""
LISTED = "listed.json"
"""The ids of the videos of the last table (`registry.core.listed_videos`)."""
RETENTION = "retention.json"
"""For how many days videos are kept (`registry.core.retention`)."""
EXPORTS = "exports.json"
"""The files that were written out of the registry (`registry.core.exports`)."""
CALIBRATION = "calibration.json"
"""Thresholds measured on the registry's own videos (`registry.core.operating_point`)."""
BLOCKS = "blocks/"
"""The template of each person who must not be enrolled again (`registry.core.blocks`)."""
RECEIPTS = "receipts/"
"""What each erasure removed (`registry.core.erasing`)."""

INTENTS = "intents/"
"""Changes under way, so that a crash can be finished or undone (`registry.core.intents`)."""
REWRITES = "rewrites/"
"""The new version of an object while an erasure deletes the old one; ends in the object's key."""
STAGING = "next/"
"""The registry as another model sees it, until the switch (`registry.core.staging`)."""
EVIDENCE = "evidence/"
"""What the faces of videos add up to, for the look for likely duplicates: computed from the records
and removable at any time (`registry.people.kept_evidence`)."""
LEASE = "lease.json"
"""Who may write, where everything is on servers (`registry.core.lease`)."""
LEASE_PROBES = "probe-"
"""Objects that test whether a store honours conditional writes; deleted at once."""
DOCTOR_PROBES = "doctor/"
"""Objects that `doctor` writes, reads back and deletes."""

DURABLE = (
    *(CONTRACT, RECORDS, CROPS, DECISIONS, RUNS, REREADS, RETENTION, CALIBRATION),
    *(BLOCKS, RECEIPTS, TABLE, LISTED, EXPORTS),
)
"""What makes up a registry: saved by a backup, copied by a migration."""
TRANSIENT = (INTENTS, REWRITES, STAGING, EVIDENCE, LEASE, LEASE_PROBES, DOCTOR_PROBES)
"""What belongs to work under way: neither saved nor copied."""


def record(video_id: str) -> str:
    """The record of a video."""
    return f"{RECORDS}{video_id}{RECORD_SUFFIX}"


def crops_of(video_id: str) -> str:
    """The beginning of the keys of a video's crops."""
    return f"{CROPS}{video_id}/"


def video_of_crop(key: str) -> str:
    """The id of the video that a crop is from."""
    return key.removeprefix(CROPS).partition("/")[0]


def crop(video_id: str, frame: int, position: int) -> str:
    """The crop of the face at a position among those of a frame, both counted from 0."""
    return f"{crops_of(video_id)}{frame}_{position}.jpg"


def changed_crop(video_id: str, frame: int, position: int, digest: str) -> str:
    """The crop of a face after an erasure changed it; `digest` is the SHA-256 of its bytes.

    It differs from `crop`, so that reading the video again does not replace a picture on record.
    """
    return f"{crops_of(video_id)}{frame}_{position}_{digest[:16]}.jpg"


def evidence(prefix: str) -> str:
    """The evidence of the videos whose ids begin so; `prefix` may be empty."""
    return f"{evidence_of_videos()}{prefix}.bin"


def evidence_of_videos() -> str:
    """The beginning of the keys of `evidence`."""
    return f"{EVIDENCE}videos-"


def similar_means() -> str:
    """Which identities have similar means."""
    return f"{EVIDENCE}similar-means.bin"


def has_evidence_of(key: str, video_id: str) -> bool:
    """Whether the evidence of a video belongs into the object of this key."""
    return video_id.startswith(name_in(key).removeprefix("videos-"))


def decision(number: int) -> str:
    """The entry of this number in the log of decisions."""
    return f"{DECISIONS}{number:010d}.json"


def run(run_id: str) -> str:
    """The record of a run."""
    return f"{RUNS}{run_id}.json"


def reread(video_id: str) -> str:
    """The mark that a video is to be read again."""
    return f"{REREADS}{video_id}"


def block(block_id: str) -> str:
    """The block of one person."""
    return f"{BLOCKS}{block_id}.json"


def receipt(receipt_id: str) -> str:
    """The receipt of one erasure."""
    return f"{RECEIPTS}{receipt_id}.json"


def intent(name: str) -> str:
    """The intent of this name."""
    return f"{INTENTS}{name}"


def rewrite(key: str) -> str:
    """The new version of the object of this key, while the old one is deleted."""
    return f"{REWRITES}{key}"


def staged(key: str) -> str:
    """The object that is to take the place of the one of this key."""
    return f"{STAGING}{key}"


def name_in(key: str) -> str:
    """The last part of a key, without an ending such as `.json`: the id that it was made from."""
    return key.rpartition("/")[2].partition(".")[0]
