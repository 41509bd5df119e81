"""`python -m airbag_demo.model_server --port=8500 ...`"""

from __future__ import annotations

import sys

from airbag_demo.model_server.main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
