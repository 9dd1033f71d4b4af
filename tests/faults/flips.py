"""A bit of the index's files flipped: no difference, an error that says so, or found by comparing.

Qdrant Edge loads most damaged files without a word, so what it says is compared with the records.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from registry.core.registry import Registry
from registry.upkeep.index_comparison import compare_index
from tests.faults.forks import child
from tests.faults.harness import Golden, Outcome, Strike, difference
from tests.faults.proxies import Trigger
from tests.faults.workload import STEPS, dump, open_parts
from tests.support.homes import copy_home
from tests.support.processes import KILLED, data_spans

FLIPPED = "a bit of the index flipped"
_HANGS_S = 20.0
"""When a person would end the process; everything that is asked takes half a second."""
_DIGITS = 5
"""Decimals of a similarity that count: a vector may differ by less (`VECTOR_TOLERANCE`)."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Where."""

    file: str
    """Below the index."""
    byte: int
    bit: int


def flips(golden: Golden, count: int, chance: random.Random) -> list[Flip]:
    """As many places, evenly over the files that hold anything, then over their bytes.

    Every second one is in a byte that is not 0: most of a file is laid out ahead and unused.
    """
    folder = _last(golden) / "index"
    written = {
        str(path.relative_to(folder)): used
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (used := [at for span in data_spans(path) for at in _used(path, *span)])
    }
    chosen = []
    for number, file in enumerate(chance.choices(sorted(written), k=count)):
        end = (folder / file).stat().st_size
        at = chance.choice(written[file]) if number % 2 else chance.randrange(end)
        chosen.append(Flip(file, at, chance.randrange(8)))
    return chosen


def flip_strike(golden: Golden, flip: Flip) -> tuple[Outcome, str]:
    """Flip, ask everything, rebuild, and ask again. Returns also how it was found out."""
    home = golden.folder / "flipped"
    shutil.rmtree(home, ignore_errors=True)
    copy_home(_last(golden), home)
    with (home / "index" / flip.file).open("r+b") as file:
        file.seek(flip.byte)
        old = file.read(1)[0]
        file.seek(flip.byte)
        file.write(bytes([old ^ (1 << flip.bit)]))
    strike = Strike(FLIPPED, len(STEPS) - 1, flip.byte)
    wanted = answered(golden)
    how, wrong = _found_out(home, wanted)
    if not wrong:
        code, said = child(lambda say: _rebuilt(home, say))
        wrong = difference(wanted, said[-1]) if code == 0 else f"cannot be rebuilt: {code} {said}"
    return Outcome(strike, True, wrong and f"{flip} {how}: {wrong}"), how


def answered(golden: Golden) -> Any:
    """What the undisturbed registry says."""
    if not golden.answers:
        home = golden.folder / "answers"
        copy_home(_last(golden), home)
        code, said = child(lambda say: _ask(home, say))
        assert code == 0 and said[0] == [], said
        golden.answers.append(said[-1])
    return golden.answers[0]


def _found_out(home: Path, wanted: Any) -> tuple[str, str]:
    """How the damage shows, and what is wrong with that."""
    code, said = child(lambda say: _ask(home, say), kill_after_s=_HANGS_S)
    how = "named by an error"
    if code < 0:
        aborted = code != KILLED
        code, said = child(lambda say: _ask(home, say))  # the next command
        how = "ends or hangs the process, is named the next time"
        if code < 0:
            return how, f"ends it twice, with {code}"
        if code == 0 and not said[0] and aborted:
            return how, "ends it once, and then nothing is said of it"
    if code == 1:
        error = said[-1]
        clear = (
            str(error["error"]).startswith("Store") and "face-registry reindex" in error["message"]
        )
        return how, "" if clear else f"{error}"
    if said[0]:
        return "found by comparing", ""
    return "no difference", difference(wanted, said[-1])


def _ask(home: Path, say: Callable[[Any], None]) -> None:
    """What comparing finds, then everything that the registry says."""
    with open_parts(home, Trigger()) as registry:
        found = list(compare_index(registry.records, registry.index, registry.view))
        say([str(one) for one in found])
        if not found:
            say({**dump(registry), "answers": _answers(registry)})


def _rebuilt(home: Path, say: Callable[[Any], None]) -> None:
    with open_parts(home, Trigger()) as registry:
        registry.reindex()
        registry.index.optimize()
        assert list(compare_index(registry.records, registry.index, registry.view)) == []
        say({**dump(registry), "answers": _answers(registry)})


def _answers(registry: Registry) -> Any:
    """Each face's neighbours, and what is found by each field that is asked for."""
    index = registry.index
    faces = [face for video in registry.records.all() for face in video.faces]
    similar = index.similar_faces(np.stack([face.embedding for face in faces]), limit=3)
    return {
        "neighbours": [
            [(hit.face.face_id, round(hit.similarity, _DIGITS)) for hit in row] for row in similar
        ],
        "of identities": {
            one.identity_id: [
                [face.face_id for face in index.faces_of(one.identity_id)],
                list(index.video_ids([one.identity_id])),
                [same.identity_id for same in index.named(one.name)],
            ]
            for one in index.identities()
        },
        "of crops": [bool(index.face_of_crop(face.crop_digest)) for face in faces],
    }


def _used(path: Path, start: int, end: int) -> list[int]:
    data = np.memmap(path, np.uint8, "r", offset=0, shape=(end,))
    used: list[int] = (start + np.flatnonzero(data[start:])).tolist()
    return used


def _last(golden: Golden) -> Path:
    return golden.folder / "golden"
