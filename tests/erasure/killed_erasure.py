"""Forgets an identity in a process that kills itself at a chosen operation of its stores.

python -m tests.erasure.killed_erasure HOME IDENTITY OPERATION
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.proxies import Fault, Trigger
from tests.faults.workload import open_parts

if __name__ == "__main__":
    home, identity, operation = sys.argv[1:]
    trigger = Trigger(Fault.KILL_AFTER, int(operation))
    with open_parts(Path(home), trigger) as registry:
        registry.forget(identity)
    print(trigger.done)
