"""A registry, and every change that can be made to it.

The order of each change is its safety. Crops are there before the record that names them; the
record is the commit; an intent stands from before the record until the index has it, and opening a
registry settles what a crash left standing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from registry import contract as contracts
from registry import events
from registry.changing import switching
from registry.changing.switching import Switch
from registry.decisions import Decision, Kind, concerned, fold, tidy, unfit
from registry.domain import Contract, Video
from registry.enrolment import assigned, without_blocked
from registry.erasure import receipts
from registry.erasure.erasing import Plan
from registry.errors import StoreError, UnknownError, UsageError
from registry.finding import remembered_videos
from registry.index import Index
from registry.intents import ERASE, REINDEX, SWITCH
from registry.log import repeats, stamped
from registry.opened import Opened
from registry.recovery import Replacing, finish, rebuild, showing
from registry.upkeep.rereads import lost


class Registry(Opened):
    """One registry. Use `open_registry`, or pass the parts in; close it, or use it in a `with`."""

    # --- changes --------------------------------------------------------------------------------

    def establish(self, contract: Contract) -> None:
        """Make this a registry of that contract. Only an empty one can be."""
        self.hold()
        if not self.is_empty:
            raise StoreError("this registry has its contract already")
        Index(self.store, contract).check_owner()
        contracts.write(self.blobs, contract)
        self._contract = contract

    def commit(self, video: Video) -> Video:
        """Give the faces of a video, whose crops must be stored, identities, and put it on record.

        Returns the video as recorded, without faces of people who are blocked. It replaces one on
        record, and the crops that it does not name are removed.
        """
        self.hold()
        before = self.records.get(video.video_id)
        given, model = video, self.contract.model
        video = without_blocked(video, self.blocks.read(), model.verification_threshold)
        video = self._assigned(video, before)
        index = self.index
        replaced = Replacing.of(before, given, video, self.view)
        with self._intents.declared(video.video_id, replaced.encoded()):
            self.records.put(video)
            index.put(video, self.view)
            finish(replaced, index, self.blobs, self.view)
        return video

    def update_metrics(self, video_id: str, metrics: Mapping[str, float]) -> None:
        """Record other metrics for a video on record, and bring its faces up to them."""
        self.hold()
        video = self.records.get(video_id)
        if video is None:
            raise UnknownError(f"no video {video_id} is on record")
        video = replace(video, metrics=dict(metrics))
        index = self.index
        with self._intents.declared(video_id):
            self.records.put(video)
            index.put_metrics(video)
            index.flush()

    def decide(self, decision: Decision) -> Decision:
        """Put a decision in the log and bring the index up to it. Returns it with its number.

        One that says what the last one says is that one: whoever was cut off and does it again
        does not do it twice.

        Raises:
            UsageError: it contradicts decisions that stand.
        """
        self.hold()
        index, before, log = self.index, self.view, self.decisions.read()
        if log and repeats(decision, log[-1]):
            return log[-1]
        decision = stamped(decision, log)
        after = fold([*log, decision])
        if after.conflicts:
            raise UsageError(f"{after.conflicts[0]}; undo one of them first")
        with self._intents.declared(REINDEX):
            self.decisions.append(decision)
            self._view = after
            touched = concerned(log, [*log, decision])
            regrouped = (before.parents, before.moved) != (after.parents, after.moved)
            videos = showing(index, self.records, touched) if regrouped else ()
            index.regroup(videos, touched, after)
            index.flush()
        events.emit("decision", kind=str(decision.kind))
        return decision

    def name(self, key: str, name: str) -> Decision:
        """Give an identity a name, kept as `tidy` makes it; an empty one takes it back.

        Raises:
            UnknownError: there is no such identity.
            UsageError: the name is none.
        """
        identity, tidied = self.identity(key), tidy(name)
        why = "it is nothing but space; '' takes a name back" if name and not tidied else ""
        if why := why or unfit(tidied):
            raise UsageError(f"{name!r} cannot be a name: {why}")
        return self.decide(Decision(0, Kind.NAME, identity.identity_id, name=tidied))

    def reindex(self, progress: Callable[[Video], None] = lambda _: None) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        self.hold()
        contract, plan = self.contract, self.settle_objects()
        for _ in self.records.all():
            pass  # one that is damaged ends it here: the index may know what its URL was
        with self._intents.declared(REINDEX):
            Index.drop(self.store)
            index = Index(self.store, contract)
            count = rebuild(index, self.records, self.view, progress)
        if plan:
            receipts.certify(self.blobs, self.records, index, plan)
            self._intents.settle(ERASE)
        self._settle(index)
        self._index = index
        return count

    def change_model(
        self, switch: Switch, progress: Callable[[Video], None] = lambda _: None
    ) -> None:
        """Take the records beside for the registry's own, and rebuild the index.

        They must be all there (see `registry.changing.switching`); `registry.changing.change` puts
        them there.
        """
        self.check()
        with self._intents.declared(SWITCH, switch.encoded()):
            switching.finish(self.blobs, self.store)
        self.adopt(self.blobs)
        self.reindex(progress)

    def forget(self, key: str, *, block: bool = False) -> dict[str, Any]:
        """Remove a person for good: faces, crops, names, what decisions say, the index's bytes.

        Args:
            key: what `identity` takes.
            block: keep a template (`registry.erasure.blocks`) so that the person is not enrolled
                again.

        Returns:
            The receipt, which is also kept under `receipts/`.
        """
        self.hold()
        who = self.identity(key).identity_id
        return self._erase(self._eraser().plan_person(self.view, who, block=block))

    def unblock(self, block_id: str) -> None:
        """Lift a block, template and all. Raises `UnknownError` if there is none."""
        self.check()
        self.blocks.lift(block_id)

    def remove_video(self, key: str) -> dict[str, Any]:
        """Remove a video, named as for `video`, for good, and those who are in no other."""
        return self.remove_videos([key])

    def remove_videos(self, keys: Sequence[str]) -> dict[str, Any]:
        """Remove videos, at least one, in one go: one receipt, and the index is rebuilt once."""
        self.hold()
        going = sorted({str(self.video(key)["video_id"]) for key in keys})
        return self._erase(self._eraser().plan_videos(self.view, going))

    def give_up(self, video_ids: Sequence[str]) -> dict[str, str]:
        """Put failed videos in the places of records that are damaged, to be read again.

        Their faces go from the index. A record of a video that the index does not know is removed;
        ingesting its URL takes it for a new one. Returns the URLs by id, empty where not known.
        """
        self.check()
        remembered, found = remembered_videos(self.store, video_ids), {}
        if not Index.present(self.store):
            self._intents.declare(REINDEX)
        for video_id in video_ids:
            known = remembered.get(video_id)
            found[video_id] = str(known["url"]) if known else ""
            self._intents.declare(video_id)
            if known:
                self.rereads.mark(video_id)
                self.records.put(lost(known))
            else:
                self.records.delete(video_id)
        self._forget()  # opening the index anew brings it up to the records
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _assigned(self, video: Video, before: Video | None = None) -> Video:
        return assigned(video, before, self.index, self.view, self.contract.threshold)

    def _erase(self, plan: Plan) -> dict[str, Any]:
        index = self.index
        with self._intents.declared(ERASE, plan.encoded()):
            self.settle_objects()
            receipt = self._erase_index(plan, index)
        events.emit("erasure", kind=plan.kind, counts=receipt["removed"])
        if self._lock:  # else another process may be reading what it downloaded
            shutil.rmtree(self.settings.downloads, ignore_errors=True)
        return receipt
