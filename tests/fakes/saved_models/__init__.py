"""The fault kit: tiny real SavedModels, good and bad, written so that a polling server never sees half of one.

Every function makes `base/VERSION` and returns that path. Made of stock kernels only, so a real TF Serving loads (or
refuses) each of them just as the local model server does. Unless the table says otherwise a model answers the
signature `serving_default`, float `x` of any shape to float `y = scale * x + offset`. Graphs are built once per
process and copied afterwards; every user may read them.

| function | what it shows |
| --- | --- |
| `add_model` | a good version; `scale` tells versions apart |
| `two_inputs`, `echo`, `examples` | floats `a`, `b` to `sum`, `product`; strings; Classify and Regress on tf.Example |
| `slow` | every answer takes `seconds`; any number of requests wait side by side |
| `slow_load` | an init operation that takes `seconds`, then a good version |
| `hanging` | requests that never end, until somebody calls the signature `release`, or the session's timeout strikes |
| `wrong` | answers at once and with the wrong sign |
| `failing` | every request fails with INVALID_ARGUMENT |
| `failing_for_negative` | requests with a negative number in them fail, all others are answered |
| `erring` | one signature for each canonical code in `CODES`, failing with it; `serving_default` is good |
| `failing_load` | the init operation fails: END with INVALID_ARGUMENT |
| `truncated` | variables cut short: END with OUT_OF_RANGE |
| `cut_graph` | `saved_model.pb` cut short: END with an error |
| `without_graph` | no `saved_model.pb`: END with NOT_FOUND, and no load attempt on the metrics page |
| `half_copied` | the data of the variables did not arrive: END with an error |
| `without_variables`, `without_index` | AVAILABLE, and every request fails with FAILED_PRECONDITION |
| `with_warmup` | a warm-up record, good or bad; its replay can take long |
| `corrupt_warmup` | a warm-up file that is no TFRecord: END with DATA_LOSS |
| `stray_file` | a plain file with a version's name: END with FAILED_PRECONDITION |
"""

from __future__ import annotations

from tests.fakes.saved_models.bad import (
    corrupt_warmup,
    cut_graph,
    failing_load,
    half_copied,
    stray_file,
    truncated,
    without_graph,
    without_index,
    without_variables,
)
from tests.fakes.saved_models.good import (
    add_model,
    echo,
    erring,
    examples,
    failing,
    failing_for_negative,
    hanging,
    slow,
    slow_load,
    two_inputs,
    with_warmup,
    wrong,
)
from tests.fakes.saved_models.graphs import CODES
from tests.fakes.saved_models.publish import WARMUP

__all__ = [
    "CODES",
    "WARMUP",
    "add_model",
    "corrupt_warmup",
    "cut_graph",
    "echo",
    "erring",
    "examples",
    "failing",
    "failing_for_negative",
    "failing_load",
    "half_copied",
    "hanging",
    "slow",
    "slow_load",
    "stray_file",
    "truncated",
    "two_inputs",
    "with_warmup",
    "without_graph",
    "without_index",
    "without_variables",
    "wrong",
]
