"""`face-registry doctor`: checks of the machine and of the registry, one finding for each part.

A registry is checked while this process holds it: what another process writes meanwhile would look
like damage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from registry.core import clock, keys, retention
from registry.core.exports import load_exports
from registry.core.intents import Intents
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.core.runs import DAMAGED, recorded, runs
from registry.core.staging import Staging
from registry.errors import RegistryError, RegistryLocked, StoreCorrupt, StoreError
from registry.settings import Settings
from registry.store.base import CollectionSpec, Filter, Point
from registry.system import checked_json as checked
from registry.upkeep.checks import FIX, FIX_DEEP, Finding, check_machine, list_first, run_check
from registry.upkeep.index_comparison import Difference, compare_index, join_sorted

_PROBES = (keys.DOCTOR_PROBES, keys.LEASE_PROBES)
"""Prefixes of objects that interrupted checks leave: round trips, and probes for conditional
writes."""
_COUNTED = 10_000
"""Differences between index and records that are counted one by one."""
_CHECK_STORE = "Check that store: its log and its disk."


def examine(settings: Settings, *, fix: bool = False, deep: bool = False) -> Iterator[Finding]:
    """Check the machine, then the registry that the settings describe.

    Args:
        settings: where the registry is.
        fix: repair what is safe: remove crops that no record names, rebuild an index that differs
            from the records, tighten modes, mark videos with damaged records or crops to be read
            again.
        deep: read every crop and compare it with its digest.
    """
    yield from check_machine(settings, fix=fix)
    try:
        registry = open_registry(settings)
    except RegistryError as exc:
        yield Finding("registry", "failed", str(exc))
        return
    with registry:
        yield run_check("model", lambda: _check_model(registry))
        yield from examine_registry(registry, Inspection(registry, fix, deep))


def examine_registry(registry: Registry, inspection: Inspection) -> Iterator[Finding]:
    """Check an open registry, unless another process is changing it."""
    try:
        registry.hold()
        if registry.is_empty:
            yield run_check("objects", inspection.check_objects)
            yield run_check("index", inspection.check_index)
            return
    except RegistryLocked as exc:
        advice = "Run it again when that process has finished."
        yield Finding("registry", "warning", str(exc), advice)
        return
    except RegistryError as exc:
        yield Finding("registry", "failed", str(exc))
        return
    if not inspection.fix:
        yield from inspection.findings()
        return
    fixed = 0
    with recorded(registry, "repair") as recording:
        for finding in inspection.findings():
            fixed += finding.verdict == "fixed"
            recording.counts = {"fixed": fixed}
            yield finding


def _check_model(registry: Registry) -> Finding:
    model = registry.model()
    info = model.info
    facts = f"{info.dimension} dimensions, digest {info.digest[:12]}"
    return Finding("model", "ok", f"{info.name} ({facts}) runs on {model.device}.")


@dataclass(slots=True)
class _Scan:
    """The result of one pass over records and crops."""

    videos: int = 0
    crops: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    """Records that cannot be read: the reason, by video id."""
    orphans: list[str] = field(default_factory=list)
    """Keys of crops that no record names."""
    missing: dict[str, int] = field(default_factory=dict)
    """How many crops are missing or damaged, by video id."""


@dataclass(slots=True)
class Inspection:
    """The checks of a registry that is not empty. With `fix`, they repair what is safe."""

    registry: Registry
    fix: bool = False
    deep: bool = False
    """Whether to read every crop, instead of checking only that it exists."""

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each part, whatever its state."""
        yield run_check("objects", self.check_objects)
        yield run_check("index", self.check_index)
        yield run_check("decisions", self._check_decisions)
        with suppress(StoreError):
            self.registry.settle()
        interrupted = Intents(self.registry.blobs).pending()
        with suppress(StoreError):
            # Opening the index completes interrupted changes; if it cannot, `content` says why.
            _ = self.registry.index
        try:
            scan = self._scan()
        except RegistryError as exc:
            yield Finding("records", "failed", str(exc))
            return
        yield run_check("records", lambda: self._check_records(scan))
        yield run_check("content", self._check_content)
        yield run_check("crops", lambda: self._check_crops(scan))
        yield run_check("orphans", lambda: self._check_orphans(scan))
        yield run_check("leftovers", lambda: self._check_leftovers(interrupted))
        yield run_check("change", self._check_change)
        yield run_check("exports", self._check_exports)
        yield run_check("retention", self._check_retention)
        yield run_check("clock", self._check_clock)

    # --- the stores -----------------------------------------------------------------------------

    def check_objects(self) -> Finding:
        """Write an object, read it back and delete it."""
        blobs = self.registry.blobs
        key, data = f"{keys.DOCTOR_PROBES}{uuid4()}", b"round trip"
        with self.registry.writing():
            blobs.put(key, data)
            returned = blobs.get(key)
            blobs.delete(key)
        if returned != data or blobs.exists(key):
            text = f"An object written to {blobs.describe()} came back changed or was not deleted."
            return Finding("objects", "failed", text, _CHECK_STORE)
        text = f"An object was written to {blobs.describe()}, read back and deleted."
        return Finding("objects", "ok", text)

    def check_index(self) -> Finding:
        """Write a point, find it as its own nearest neighbour, and delete it and its collection."""
        store, name = self.registry.store, f"doctor-{uuid4()}"
        vector = np.eye(1, 4, dtype=np.float32)
        try:
            collection = store.open(CollectionSpec(name, 4, ("kind",)))
            collection.upsert([Point(str(uuid4()), {"kind": "probe"}, vector[0])])
            where = Filter(must={"kind": ["probe"]})
            hits = len(collection.query(vector, limit=1, where=where)[0])
            collection.delete(where)
            left = collection.count()
        finally:
            store.drop(name)
        if (hits, left) != (1, 0):
            text = f"A point written to {store.describe()} was not found or was not deleted."
            return Finding("index", "failed", text, _CHECK_STORE)
        text = f"A point was written to {store.describe()}, found and deleted."
        return Finding("index", "ok", text)

    # --- the objects ----------------------------------------------------------------------------

    def _check_decisions(self) -> Finding:
        """Read decisions, blocks, receipts and runs. Decisions are stored nowhere else."""
        registry = self.registry
        decisions, blocks = len(registry.decisions.entries()), len(registry.blocks.all())
        receipts = [info.key for info in registry.blobs.list(keys.RECEIPTS)]
        damaged = [key for key in receipts if not self._receipt(key)]
        damaged += [keys.run(run.run) for run in runs(registry) if run.outcome == DAMAGED]
        if damaged:
            text = f"Objects are damaged: {list_first(damaged)}."
            return Finding("decisions", "warning", text, "Restore a backup if you need them.")
        return Finding(
            "decisions",
            "ok",
            f"All decisions ({decisions}), blocks ({blocks}) and receipts ({len(receipts)}) can be "
            "read.",
        )

    def _check_records(self, scan: _Scan) -> Finding:
        """Check that every record matches its digest."""
        if not scan.damaged:
            return Finding("records", "ok", f"All records ({scan.videos}) match their digests.")
        text = (
            f"Damaged records: {len(scan.damaged)} of {scan.videos} ({list_first(scan.damaged)})."
        )
        if not self.fix:
            return Finding(
                "records", "failed", text,
                f"Restore a backup. If you have none, run {FIX}: it gives these records up. Then "
                "ingest their URLs to read the videos again.",
            )  # fmt: skip
        given_up = self.registry.give_up(sorted(scan.damaged))
        names = [str(url) or f"{video} (URL unknown)" for video, url in given_up.items()]
        text += f" They were given up: {list_first(names)}."
        return Finding("records", "fixed", text, "Ingest their URLs to read the videos again.")

    def _check_crops(self, scan: _Scan) -> Finding:
        """Check that every crop that a record names exists or, if deep, matches its digest."""
        if not scan.missing:
            fact = "match their digests" if self.deep else "exist; --deep also checks their digests"
            return Finding("crops", "ok", f"All crops ({scan.crops}) {fact}.")
        marked = set(self.registry.rereads.marked())
        new = sorted(scan.missing.keys() - marked)
        crops, videos = sum(scan.missing.values()), len(scan.missing)
        text = f"Missing or damaged crops: {crops} (videos: {videos})."
        if new and not self.fix:
            advice = f"Restore a backup, or run {FIX_DEEP if self.deep else FIX}."
            text += f" Videos not marked to be read again: {list_first(new)}."
            return Finding("crops", "failed", text, advice)
        with self.registry.writing():
            for video_id in new:
                self.registry.rereads.mark(video_id)
        videos_missing = (self.registry.index.video(video_id) for video_id in sorted(scan.missing))
        named = list_first(str(video.url) for video in videos_missing if video)
        return Finding(
            "crops", "fixed" if new else "warning",
            f"{text} Videos marked to be read again: {named}.",
            "Ingest their URLs.",
        )  # fmt: skip

    def _check_orphans(self, scan: _Scan) -> Finding:
        """Check that a record names every crop; an interrupted ingest leaves some without."""
        if not scan.orphans:
            return Finding("orphans", "ok", "Every crop belongs to a record.")
        if not self.fix:
            text = f"Crops without a record: {len(scan.orphans)} ({list_first(scan.orphans)})."
            return Finding("orphans", "warning", text, f"Run {FIX} to remove them.")
        self._delete(scan.orphans)
        return Finding("orphans", "fixed", f"Removed crops without a record: {len(scan.orphans)}.")

    def _check_leftovers(self, interrupted: list[str]) -> Finding:
        """Check that nothing is left of interrupted changes and checks."""
        blobs = self.registry.blobs
        unfinished = Intents(blobs).pending()
        unfinished += [info.key for info in blobs.list(keys.REWRITES)]
        probes = [info.key for prefix in _PROBES for info in blobs.list(prefix)]
        if self.fix:
            self._delete(probes)
        if unfinished:
            text = f"Interrupted changes could not be completed: {list_first(unfinished)}."
            advice = "Fix what failed above; opening the registry then completes them."
            return Finding("leftovers", "failed", text, advice)
        if probes:
            left = f"objects of interrupted checks: {len(probes)}."
            if self.fix:
                return Finding("leftovers", "fixed", f"Removed {left}")
            return Finding("leftovers", "warning", f"Found {left}", f"Run {FIX} to remove them.")
        if interrupted:
            return Finding("leftovers", "ok", f"Completed interrupted changes: {len(interrupted)}.")
        return Finding("leftovers", "ok", "No change was interrupted.")

    def _check_change(self) -> Finding:
        """Look for a change of the model that was begun and neither completed nor discarded."""
        begun = Staging(self.registry.blobs).describe()
        if not begun:
            return Finding("change", "ok", "No change of the model is in progress.")
        return Finding(
            "change",
            "warning",
            f"A change of the model to {begun['model']} was begun. Videos done: {begun['videos']}.",
            "Run `face-registry migrate --switch` to complete it, or "
            "`face-registry migrate --discard` to cancel it.",
        )

    def _check_exports(self) -> Finding:
        """Name the files that were written out, and those from before an erasure that still exist.

        Files that another machine wrote are not there to be seen.
        """
        blobs = self.registry.blobs
        exports = load_exports(blobs)
        if not exports:
            return Finding("exports", "ok", "No file is known to have been written from here.")
        newest = [f"{one.kind} {one.path}" for one in reversed(exports)]
        text = f"Files written from here: {len(exports)} ({list_first(newest)})."
        named = {
            (entry["path"], entry["at"])
            for info in blobs.list(keys.RECEIPTS)
            for entry in self._receipt(info.key).get("exports", ())
        }
        stale = [one.path for one in exports if (one.path, one.at) in named]
        left = [path for path in stale if Path(path).is_absolute() and Path(path).exists()]
        if not left:
            return Finding("exports", "ok", text)
        return Finding(
            "exports",
            "warning",
            f"{text} Written before an erasure, and still there: {list_first(left)}.",
            "Delete them, or write them again. `face-registry receipts list` lists the erasures.",
        )

    # --- the index ------------------------------------------------------------------------------

    def _check_content(self) -> Finding:
        """Compare the index with the records."""
        try:
            differences = self._differences()
        except StoreError as exc:
            if not self.fix:
                raise
            # Decisions cannot be computed again: without them, no index is dropped.
            _ = self.registry.view
            text = f"{str(exc).rstrip('.')}."
        else:
            if not differences:
                videos = self.registry.index.count_videos()
                return Finding("content", "ok", f"The index agrees with all records ({videos}).")
            least = "at least " if len(differences) == _COUNTED else ""
            text = f"The index differs from the records ({least}{len(differences)} differences): "
            text += f"{list_first(differences)}."
        if not self.fix:
            advice = f"Run `face-registry reindex` or {FIX}."
            return Finding("content", "failed", text, advice)
        self.registry.reindex()
        if self._differences():
            text += " It was rebuilt and still differs."
            return Finding("content", "failed", text, "Check the index's store: its log, its disk.")
        return Finding("content", "fixed", f"{text} It was rebuilt.")

    def _check_retention(self) -> Finding:
        """Look for videos that are kept for longer than the retention period."""
        period = retention.days(self.registry.blobs)
        if period is None:
            return Finding("retention", "ok", "No retention period is set.")
        old = [str(each.url) for each in retention.older_than(self.registry, period)]
        if not old:
            text = f"No video is past the retention period of {period} days."
            return Finding("retention", "ok", text)
        command = f"face-registry videos remove --older-than {period}"
        return Finding(
            "retention", "warning",
            f"Videos past the retention period of {period} days: {len(old)} ({list_first(old)}).",
            f"Run `{command}` to list them and `{command} --yes` to remove them.",
        )  # fmt: skip

    def _check_clock(self) -> Finding:
        """Compare the clock with the times of runs."""
        doubts = clock.doubts(self.registry.blobs)
        if not doubts:
            return Finding("clock", "ok", "The clock agrees with the times of runs.")
        advice = f"Until then, removing videos by age needs {clock.OPTION}."
        return Finding("clock", "warning", doubts, advice)

    # --- inside ---------------------------------------------------------------------------------

    def _delete(self, unwanted: list[str]) -> None:
        with self.registry.writing():
            for key in unwanted:
                self.registry.blobs.delete(key)

    def _differences(self) -> list[Difference]:
        registry = self.registry
        differences = compare_index(
            registry.records,
            registry.index,
            registry.view,
            on_damaged=lambda _video, _reason: None,
        )
        return list(islice(differences, _COUNTED))

    def _scan(self) -> _Scan:
        """Read records and list crops together: both come in order of video id."""
        scan = _Scan()
        records, listed = self.registry.records, self.registry.blobs.list(keys.CROPS)
        crops = (
            (video, {info.key for info in group})
            for video, group in groupby(listed, key=lambda info: info.key.split("/")[1])
        )
        for video_id, recorded_id, listed_crops in join_sorted(
            ((i, i) for i in records.ids()), crops
        ):
            present = listed_crops or set()
            scan.crops += len(present)
            if recorded_id is None:
                scan.orphans += sorted(present)
                continue
            scan.videos += 1
            try:
                video = records.get(video_id)
            except StoreCorrupt as exc:
                scan.damaged[video_id] = str(exc)
                continue
            named = {face.crop: face.crop_digest for face in video.faces} if video else {}
            scan.orphans += sorted(present - named.keys())
            bad = sum(not self._is_intact(key, named[key], present) for key in named)
            if bad:
                scan.missing[video_id] = bad
        return scan

    def _is_intact(self, key: str, digest: str, present: set[str]) -> bool:
        if key not in present or not self.deep:
            return key in present
        with suppress(RegistryError):
            return hashlib.sha256(self.registry.blobs.get(key)).hexdigest() == digest
        return False

    def _receipt(self, key: str) -> dict[str, Any]:
        """The receipt of an erasure; empty if it is damaged."""
        try:
            body: dict[str, Any] = checked.decode(self.registry.blobs.get(key))
        except ValueError:
            return {}
        return body if "removed" in body else {}
