"""What has to be there besides Airbag."""

from __future__ import annotations

import subprocess
import sys

# A Python that has Airbag but not the packages of the extra `demo`, as a production install is.
WITHOUT_EXTRA = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("tensorflow", "sklearn") else find(name, *rest)
from airbag.cli import main
main(sys.argv[1:])
"""


def test_the_model_server_without_tensorflow_says_how_to_get_it() -> None:
    command = [sys.executable, "-c", WITHOUT_EXTRA, "demo", "model-server", "--port=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Python packages are missing: tensorflow, sklearn." in done.stderr
    assert "tfs-airbag[demo]" in done.stderr
    assert "Traceback" not in done.stderr
