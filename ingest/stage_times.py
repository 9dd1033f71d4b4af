"""Where the time of a run goes: seconds by stage, measured always and shown by `--profile`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any, Literal, get_args

Stage = Literal[
    "fetch",
    "start",
    "decode",
    "transfer",
    "detect",
    "align",
    "quality",
    "crop",
    "still",
    "store",
    "embed",
    "link",
    "commit",
]
STAGES: Mapping[Stage, str] = {
    "fetch": "downloads and checks of files; several at once",
    "start": "start of workers: imports and the model",
    "decode": "workers wait for the decoder",
    "transfer": "frames are copied from the decoder",
    "detect": "faces are found",
    "align": "faces are turned upright and cut out",
    "quality": "faces are assessed",
    "crop": "face images are encoded",
    "still": "still pictures are told from people",
    "store": "face images are stored",
    "embed": "faces are embedded",
    "link": "faces are linked to tracks",
    "commit": "records, identities and the index are written",
}
"""What each stage does, in the order of the table."""
assert set(STAGES) == set(get_args(Stage))
BESIDE_WORKERS: frozenset[str] = frozenset({"fetch", "commit"})
"""Stages that go on beside the workers. Of the others, a worker does one at a time."""


class StageTimes:
    """Seconds by stage; threads may share it."""

    def __init__(self) -> None:
        """Nothing has been measured."""
        self._seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def measuring(self, stage: Stage) -> Iterator[None]:
        """Add the seconds of the block to a stage."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(stage, perf_counter() - started)

    def add(self, stage: Stage, seconds: float) -> None:
        """Add seconds to a stage."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """The seconds so far, by stage."""
        with self._lock:
            return dict(self._seconds)


@dataclass(slots=True)
class Profile:
    """The times of a run."""

    workers: int = 1
    """Threads of inference, in all processes together."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, summed over all workers."""
    elapsed_s: float = 0.0
    """From the start of the workers to the end of the run."""

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add times."""
        for stage, more in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + more

    @property
    def idle_s(self) -> float:
        """Seconds in which workers had nothing to do, the end of the run included."""
        busy = sum(s for stage, s in self.seconds.items() if stage not in BESIDE_WORKERS)
        return max(0.0, self.workers * self.elapsed_s - busy)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "workers": self.workers,
            "elapsed": round(self.elapsed_s, 3),
            "stages": {stage: round(self.seconds.get(stage, 0.0), 3) for stage in STAGES},
            "idle": round(self.idle_s, 3),
        }
