"""What is written into pipes is UTF-8, whatever the system's own encoding is."""

from __future__ import annotations

import os
import subprocess
import sys

_SCRIPT = "from registry.cli import main; main(['\\u674e \\u2265'])"


def test_names_in_any_script_go_through_a_pipe() -> None:
    """Windows-1252 is what Python writes into pipes on a Windows of Western Europe."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "There is no command '李 ≥'." in done.stderr.decode("utf-8")
