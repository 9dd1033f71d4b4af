"""An open registry, looked through: records, decisions, crops, and the index against them.

Whoever looks holds the registry: what another process writes meanwhile would look like damage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any
from uuid import uuid4

import numpy as np

from registry import urls
from registry.core import retention
from registry.core.intents import Intents
from registry.core.registry import Registry
from registry.core.runs import DAMAGED, runs
from registry.core.staging import Beside
from registry.errors import RegistryError, StoreCorrupt, StoreError
from registry.store.base import CollectionSpec, Filter, Point
from registry.system import checked_json as checked
from registry.upkeep.comparison import Difference, compare, in_step
from registry.upkeep.diagnosis import FIX, FIX_DEEP, Finding, attempt, some

_PROBES = ("doctor/", "probe-")
"""What round trips, and the finding out about conditional writes, leave when they are cut off."""
_COUNTED = 10_000
"""Differences between index and records that are counted one by one."""


@dataclass(slots=True)
class _Objects:
    """What one pass over records and crops found."""

    videos: int = 0
    crops: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    """Records that cannot be read: why, by video id."""
    orphans: list[str] = field(default_factory=list)
    """Keys of crops that no record names."""
    missing: dict[str, int] = field(default_factory=dict)
    """Crops that are gone, or are not what was stored: how many, by video id."""


@dataclass(slots=True)
class Inspection:
    """One look through a registry that holds something. With `fix`, it repairs what is safe."""

    registry: Registry
    fix: bool = False
    deep: bool = False
    """Whether to read every crop, rather than look whether it is there."""

    def findings(self) -> Iterator[Finding]:
        """One for each part, whatever state it is in."""
        yield attempt("objects", self.objects)
        yield attempt("index", self.probe)
        yield attempt("decisions", self.decisions)
        cut_off = Intents(self.registry.blobs).pending()
        with suppress(StoreError):
            _ = self.registry.index  # finishes what was cut off, or `content` says why it cannot
        try:
            found = self._pass()
        except RegistryError as exc:
            yield Finding("records", "failed", str(exc))
            return
        yield attempt("records", lambda: self.records(found))
        yield attempt("content", self.content)
        yield attempt("crops", lambda: self.crops(found))
        yield attempt("orphans", lambda: self.orphans(found))
        yield attempt("leftovers", lambda: self.leftovers(cut_off))
        yield attempt("change", self.change)
        yield attempt("retention", self.retention)

    def change(self) -> Finding:
        """A change of the model that was begun and neither made nor dropped."""
        begun = Beside(self.registry.blobs).describe()
        if not begun:
            return Finding("change", "ok", "no change of the model is under way")
        there = f"a change to {begun['model']} was begun, {begun['videos']} videos of it are there"
        return Finding(
            "change",
            "warning",
            there,
            "`face-registry migrate --switch` makes it, `face-registry migrate --discard` drops it",
        )

    # --- the stores -----------------------------------------------------------------------------

    def objects(self) -> Finding:
        """An object is put, read back and deleted."""
        blobs = self.registry.blobs
        key, data = f"doctor/{uuid4()}", b"round trip"
        blobs.put(key, data)
        back = blobs.get(key)
        blobs.delete(key)
        if back != data or blobs.exists(key):
            return Finding(
                "objects", "failed", f"{blobs.describe()} does not keep to what it is told",
                "look after that store: its log, its disk",
            )  # fmt: skip
        return Finding("objects", "ok", f"{blobs.describe()}: written, read back and deleted")

    def probe(self) -> Finding:
        """A point is put, found as its own nearest neighbour, and deleted with its collection."""
        store, name = self.registry.store, f"doctor-{uuid4()}"
        vector = np.eye(1, 4, dtype=np.float32)
        try:
            collection = store.open(CollectionSpec(name, 4, ("kind",)))
            collection.upsert([Point(str(uuid4()), {"kind": "probe"}, vector[0])])
            where = Filter(must={"kind": ["probe"]})
            found = len(collection.query(vector, limit=1, where=where)[0])
            collection.delete(where)
            left = collection.count()
        finally:
            store.drop(name)
        if (found, left) != (1, 0):
            return Finding(
                "index", "failed", f"{store.describe()} does not keep to what it is told",
                "look after that store: its log, its disk",
            )  # fmt: skip
        return Finding("index", "ok", f"{store.describe()}: written, found and deleted")

    # --- the objects ----------------------------------------------------------------------------

    def decisions(self) -> Finding:
        """Decisions, blocks, receipts and runs can be read. What people decided is nowhere else."""
        registry = self.registry
        decided = len(registry.decisions.read())
        blocks = len(registry.blocks.read())
        receipts = [info.key for info in registry.blobs.list("receipts/")]
        bad = [key for key in receipts if not self._reads(key)]
        bad += [f"runs/{run.run}.json" for run in runs(registry) if run.outcome == DAMAGED]
        if bad:
            advice = "restore a backup if you need them"
            return Finding("decisions", "warning", f"damaged: {some(bad)}", advice)
        text = f"{decided} decisions, {blocks} blocks and {len(receipts)} receipts can be read"
        return Finding("decisions", "ok", text)

    def records(self, found: _Objects) -> Finding:
        """Every record reads back to its digest."""
        if not found.damaged:
            return Finding("records", "ok", f"{found.videos} records, digests checked")
        text = f"{len(found.damaged)} of {found.videos} records are damaged: {some(found.damaged)}"
        if not self.fix:
            return Finding(
                "records", "failed", text,
                "restore a backup; without one, `face-registry doctor --fix` gives them up, and "
                "ingesting their URLs reads them again",
            )  # fmt: skip
        given_up = self.registry.give_up(sorted(found.damaged))
        names = [urls.redacted(url) or f"{video} (URL unknown)" for video, url in given_up.items()]
        return Finding("records", "fixed", f"{text}; given up: {some(names)}", "ingest their URLs")

    def crops(self, found: _Objects) -> Finding:
        """Every crop that a record names is there, or, if deep, is what was stored."""
        if not found.missing:
            how = "digests checked" if self.deep else "there; --deep reads them"
            return Finding("crops", "ok", f"{found.crops} crops, {how}")
        marked = set(self.registry.rereads.marked())
        crops, new = sum(found.missing.values()), sorted(found.missing.keys() - marked)
        text = f"{crops} crops of {len(found.missing)} videos are missing or damaged"
        if new and not self.fix:
            advice = f"restore a backup, or {FIX_DEEP if self.deep else FIX}"
            return Finding("crops", "failed", f"{text}: {some(new)}", advice)
        for video_id in new:
            self.registry.check()
            self.registry.rereads.mark(video_id)
        videos = (self.registry.index.video(video_id) for video_id in sorted(found.missing))
        named = some(urls.redacted(video.url) for video in videos if video)
        return Finding(
            "crops", "fixed" if new else "warning",
            f"{text}; they are marked to be read again: {named}", "ingest their URLs",
        )  # fmt: skip

    def orphans(self, found: _Objects) -> Finding:
        """No crop is there that no record names: of what an ingest that was cut off left behind."""
        if not found.orphans:
            return Finding("orphans", "ok", "every crop belongs to a record")
        text = f"{len(found.orphans)} crops belong to no record"
        if not self.fix:
            return Finding("orphans", "warning", f"{text}: {some(found.orphans)}", FIX)
        for key in found.orphans:
            self.registry.check()
            self.registry.blobs.delete(key)
        return Finding("orphans", "fixed", f"{text}; they are removed")

    def leftovers(self, cut_off: list[str]) -> Finding:
        """Nothing is left of what was under way."""
        blobs = self.registry.blobs
        open_ = Intents(blobs).pending()
        open_ += [info.key for info in blobs.list("rewrites/")]
        probes = [info.key for prefix in _PROBES for info in blobs.list(prefix)]
        if probes and self.fix:
            for key in probes:
                blobs.delete(key)
        if open_:
            advice = "put right what failed above; opening the registry then finishes them"
            return Finding("leftovers", "failed", f"cut off and open: {some(open_)}", advice)
        if probes:
            text = f"{len(probes)} objects of earlier checks"
            if self.fix:
                return Finding("leftovers", "fixed", f"{text}; they are removed")
            return Finding("leftovers", "warning", text, FIX)
        text = f"{len(cut_off)} changes that were cut off are finished now" if cut_off else "none"
        return Finding("leftovers", "ok", text)

    # --- the index ------------------------------------------------------------------------------

    def content(self) -> Finding:
        """The index says what the records say."""
        try:
            differences = self._differences()
        except StoreError as exc:
            if not self.fix:
                raise
            _ = self.registry.view  # decisions cannot be rebuilt: nothing is dropped without them
            text = str(exc)
        else:
            if not differences:
                count = self.registry.index.count_videos()
                return Finding("content", "ok", f"{count} videos in the index, as the records say")
            many = "at least " if len(differences) == _COUNTED else ""
            text = f"index and records differ in {many}{len(differences)} points: "
            text += some(differences)
        if not self.fix:
            return Finding("content", "failed", text, f"run `face-registry reindex`, or {FIX}")
        self.registry.reindex()
        if self._differences():
            advice = "look after the index's store: its log, its disk"
            return Finding("content", "failed", f"{text}; they still do after a rebuild", advice)
        return Finding("content", "fixed", f"{text}; the index is rebuilt")

    def retention(self) -> Finding:
        """No video is older than the registry's period allows."""
        period = retention.days(self.registry.blobs)
        if period is None:
            return Finding("retention", "ok", "no period is set")
        old = [urls.redacted(each.url) for each in retention.older_than(self.registry, period)]
        if not old:
            return Finding("retention", "ok", f"no video was read more than {period} days ago")
        return Finding(
            "retention", "warning",
            f"{len(old)} videos were last read more than {period} days ago: {some(old)}",
            f"`face-registry videos remove --older-than {period}` lists them, --yes removes them",
        )  # fmt: skip

    # --- inside ---------------------------------------------------------------------------------

    def _differences(self) -> list[Difference]:
        registry = self.registry
        found = compare(
            registry.records,
            registry.index,
            registry.view,
            damaged=lambda _video, _why: None,
        )
        return list(islice(found, _COUNTED))

    def _pass(self) -> _Objects:
        """Records and crops in step: both are listed in order of video."""
        found = _Objects()
        records, listed = self.registry.records, self.registry.blobs.list("crops/")
        crops = (
            (video, {info.key for info in group})
            for video, group in groupby(listed, key=lambda info: info.key.split("/")[1])
        )
        for video_id, known, there in in_step(((i, i) for i in records.ids()), crops):
            present = there or set()
            found.crops += len(present)
            if known is None:
                found.orphans += sorted(present)
                continue
            found.videos += 1
            try:
                video = records.get(video_id)
            except StoreCorrupt as exc:
                found.damaged[video_id] = str(exc)
                continue
            named = {face.crop: face.crop_digest for face in video.faces} if video else {}
            found.orphans += sorted(present - named.keys())
            bad = sum(not self._intact(key, named[key], present) for key in named)
            if bad:
                found.missing[video_id] = bad
        return found

    def _intact(self, key: str, digest: str, present: set[str]) -> bool:
        if key not in present or not self.deep:
            return key in present
        with suppress(RegistryError):
            return hashlib.sha256(self.registry.blobs.get(key)).hexdigest() == digest
        return False

    def _reads(self, key: str) -> bool:
        try:
            body: dict[str, Any] = checked.decode(self.registry.blobs.get(key))
        except ValueError:
            return False
        return "removed" in body
