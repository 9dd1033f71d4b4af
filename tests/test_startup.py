"""What a command imports before it answers: libraries that it does not use are not loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.factories import person, video
from tests.support.registries import new_registry

HEAVY = (
    *("pandas", "scipy", "cv2", "skimage", "PIL", "av", "onnx", "onnxruntime", "insightface"),
    *("qdrant_client", "minio", "httpx", "altair", "jinja2", "prometheus_client", "ray"),
)
_RUN = f"""
import sys
from registry.cli import main
try:
    main(sys.argv[1:])
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    with new_registry(folder, video("a", [person(1)])):
        return folder


@pytest.mark.parametrize(
    ("command", "answer", "needed"),
    [
        ("--help", "Commands:", []),
        ("status", "videos done             1", []),
        ("status --json", '"done": 1', []),
        ("report", "too few", ["pandas", "scipy"]),
        ("report --csv -", "average_performance", ["pandas", "scipy"]),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_use(
    home: Path, command: str, answer: str, needed: list[str]
) -> None:
    call = [sys.executable, "-c", _RUN, "--home", str(home), *command.split()]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert answer in done.stdout
    assert done.stderr.splitlines()[-1] == str(needed)
