"""Faults struck at every step, and whether the registry came out as if there had been none."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.core.records import decode_record, encode_record
from tests.faults.forks import child
from tests.faults.proxies import Fault, Trigger
from tests.faults.workload import STEPS, dump, open_parts, run
from tests.support.factories import DIMENSION, person, video
from tests.support.homes import copy_home
from tests.support.processes import KILLED

AT_A_TIME = "killed at a random time"
GOES_ON = ", the process goes on"
"""Suffix of an answering fault after which the command is repeated on the open registry."""


@dataclass(frozen=True, slots=True)
class Golden:
    """What happened when nothing went wrong."""

    folder: Path
    """Holds `<n>`, the home before step n."""
    dumps: list[Any]
    """After each step."""
    operations: list[list[str]]
    """Of each step, in order."""
    seconds: list[float]
    answers: list[Any] = field(default_factory=list)
    """What the last state answers; asked once."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault."""

    kind: str
    step: int
    at: int = -1
    """Operation of the step."""
    after_s: float = 0.0
    """For a kill at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a strike."""

    strike: Strike
    hit: bool
    """False: the step ended before its time came."""
    lost: str
    """What differs or went wrong afterwards; empty: survived."""


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder to work in; in memory where the system has that, for the disk is of no matter."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def rehearse(folder: Path) -> Golden:
    """The workload without a fault."""
    warm = video("warm", [person(0)])
    decode_record(
        encode_record(warm, DIMENSION), "warm"
    )  # pyarrow imports pandas with its first array
    golden = Golden(folder, [], [], [])
    home = folder / "golden"
    home.mkdir()
    for step in range(len(STEPS)):
        copy_home(home, folder / str(step))
        code, said = child(lambda say, step=step: _step(home, Trigger(), step, say))  # type: ignore[misc]
        if code != 0:
            raise RuntimeError(f"step {STEPS[step][0]} fails without a fault: {said}")
        golden.operations.append(said[0])
        golden.seconds.append(said[1])
        golden.dumps.append(_dumped(home))
    return golden


def every_strike(golden: Golden, kinds: tuple[Fault, ...] = tuple(Fault)) -> list[Strike]:
    """Every kind of fault at every operation of every step."""
    strikes = []
    for step, operations in enumerate(golden.operations):
        for at in range(len(operations)):
            for kind in kinds:
                strikes.append(Strike(kind, step, at))
                if kind in (Fault.REFUSED, Fault.LOST, Fault.FULL):
                    strikes.append(Strike(f"{kind}{GOES_ON}", step, at))
    return strikes


def timed_strikes(golden: Golden, count: int, chance: random.Random) -> list[Strike]:
    """Kills at random times: within a file's write, or within the engine."""
    steps = chance.choices(range(len(STEPS)), weights=golden.seconds, k=count)
    return [
        Strike(AT_A_TIME, step, after_s=chance.uniform(0, 1.1 * golden.seconds[step]))
        for step in steps
    ]


def strike(golden: Golden, fault: Strike) -> Outcome:
    """Let one fault happen, run the command again, and compare."""
    home = golden.folder / "struck"
    shutil.rmtree(home, ignore_errors=True)
    copy_home(golden.folder / str(fault.step), home)
    goes_on = fault.kind.endswith(GOES_ON)
    name = fault.kind.removesuffix(GOES_ON)
    trigger = Trigger(None if name == AT_A_TIME else Fault(name), fault.at)
    work = _stubborn if goes_on else _step
    code, said = child(
        lambda say: work(home, trigger, fault.step, say),
        kill_after_s=fault.after_s if name == AT_A_TIME else None,
    )
    if code == 0 and not goes_on and name in (Fault.REFUSED, Fault.LOST, Fault.GONE):
        # The fault met an operation whose failure may be passed over, but not in silence and wrong.
        return Outcome(fault, True, _compared(golden, fault, _dumped(home)))
    hit = code == KILLED or (code == 1 and _ours(said))
    if code not in (0, KILLED) and not hit:
        return Outcome(fault, True, f"ended with {code}: {said}")
    if goes_on and code != 0:
        return Outcome(fault, hit, f"cannot be done again: {said}")
    found = _dumped(home) if goes_on else _dumped(home, again=fault.step)
    return Outcome(fault, hit or goes_on, _compared(golden, fault, found))


def table(outcomes: list[Outcome], seconds: float) -> str:
    """One row a kind of fault."""
    kinds = list(dict.fromkeys(outcome.strike.kind for outcome in outcomes))
    lines = ["| kind of fault | points | survived | lost |", "|---|---|---|---|"]
    for kind in [*kinds, "all"]:
        some = [o for o in outcomes if o.hit and kind in (o.strike.kind, "all")]
        lost = sum(bool(o.lost) for o in some)
        lines.append(f"| {kind} | {len(some)} | {len(some) - lost} | {lost} |")
    return "\n".join([*lines, "", f"{seconds:.0f} s"])


def described(golden: Golden, outcome: Outcome) -> str:
    """A line on what was lost."""
    fault = outcome.strike
    operations = golden.operations[fault.step]
    where = f"{fault.after_s:.3f} s" if fault.at < 0 else f"{fault.at} ({operations[fault.at]})"
    return f"{STEPS[fault.step][0]}: {fault.kind} at {where}: {outcome.lost}"


def _step(home: Path, trigger: Trigger, step: int, say: Callable[[Any], None]) -> None:
    started = time.monotonic()
    run(home, trigger, start=step, steps=STEPS[: step + 1])
    say(trigger.names)
    say(time.monotonic() - started)


def _stubborn(home: Path, trigger: Trigger, step: int, say: Callable[[Any], None]) -> None:
    """The step, and where a store fails, the step again on the registry that is open."""
    from registry.errors import StoreError

    def attempt() -> None:
        with open_parts(home, trigger) as registry:
            try:
                STEPS[step][1](registry)
            except StoreError:
                trigger.at = -1
                STEPS[step][1](registry)

    try:
        attempt()
    except StoreError:
        trigger.at = -1  # it could not even be opened
        attempt()


def _compared(golden: Golden, fault: Strike, found: Any) -> str:
    return difference(golden.dumps[fault.step], found)


def _dumped(home: Path, *, again: int | None = None) -> Any:
    """What the registry says, to a process that opens it anew; after a step again, if one is."""

    def work(say: Callable[[Any], None]) -> None:
        if again is not None:
            run(home, Trigger(), start=again, steps=STEPS[: again + 1])
        with open_parts(home, Trigger()) as registry:
            say(dump(registry) if not registry.is_empty else {})

    code, said = child(work)
    return said[0] if code == 0 else {"ended": code, "said": said}


def _ours(said: list[Any]) -> bool:
    """Whether it ended with an error that the registry raises for a store that fails."""
    return bool(said) and str(said[-1].get("error", "")).startswith("Store")


def difference(wanted: Any, found: Any) -> str:
    """Where two dumps differ; empty if they do not."""
    if wanted == found:
        return ""
    for key in sorted({*wanted, *found}):
        if wanted.get(key) != found.get(key):
            want, have = json.dumps(wanted.get(key)), json.dumps(found.get(key))
            at = next((i for i, (a, b) in enumerate(zip(want, have, strict=False)) if a != b), 0)
            return f"{key} differs: …{have[max(0, at - 60) : at + 100]}… not …{want[at : at + 60]}…"
    return "differs"
