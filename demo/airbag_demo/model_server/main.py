"""`airbag demo model-server`: the command line. Reads its flags before tensorflow is imported."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from airbag import log
from airbag.errors import AirbagError
from airbag_demo.model_server import config as configs
from airbag_demo.model_server import flags
from airbag_demo.model_server.status import StatusError

BANNER = (
    "This is Airbag's local model server, a stand-in for demos and tests. It is not TensorFlow Serving: "
    "use tensorflow_model_server or the image tensorflow/serving in production."
)
FAILED = 255


def run(argv: Sequence[str]) -> int:
    """Serve until the process is ended: SIGTERM and SIGINT end it at once, as they end the real server.

    Returns 255 if it cannot start. An unknown flag is only complained about.
    """
    line = flags.parse(argv)
    if line.wants_help or line.error:
        print(line.error, flags.usage("airbag demo model-server"), sep="\n", file=sys.stderr)
        return FAILED if line.error else 0
    if line.complaints:
        print(*line.complaints, flags.usage("airbag demo model-server"), sep="\n", file=sys.stderr)
    print(BANNER, file=sys.stderr, flush=True)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_DFL)
    log.setup()
    return _serve(line.flags)


def _serve(chosen: flags.Flags) -> int:
    try:
        config, batching = configs.first(chosen), configs.batching(chosen)
        from airbag_demo.model_server.serve import serve  # imports tensorflow, which takes seconds

        serve(chosen, config, batching)
    except StatusError as error:
        print(f"Failed to start server. Error: {error.status}", file=sys.stderr, flush=True)
    except AirbagError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr, flush=True)
    return FAILED
