"""The graphs, built with TensorFlow once per process. Only stock kernels, so that the real server loads them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.fakes.saved_models.publish import cache

SLEEP_STEPS = 8
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress"))

Signatures = Mapping[str, Any]


@functools.cache
def built(kind: str, scale: float = 2.0, offset: float = 0.0, seconds: float = 0.0) -> Path:
    """The SavedModel of that kind; see `KINDS`. The same call gives the same folder."""
    import tensorflow as tf

    target = cache() / f"{kind}-{scale}-{offset}-{seconds}"
    if kind in PLAIN:
        module = tf.Module()
        module.scale, module.offset = tf.Variable(scale, dtype=tf.float32), tf.Variable(offset, dtype=tf.float32)
        body, inputs = PLAIN[kind](tf, module)
        function = tf.function(body, autograph=False).get_concrete_function(**inputs)
        tf.saved_model.save(module, str(target), signatures=function)
    else:
        _save_graph(tf, target, KINDS[kind], scale, offset, seconds)
    return target


def _linear(tf: Any, module: Any) -> tuple[Callable[..., Any], dict[str, Any]]:  # Any: tensorflow ships no types
    return lambda x: {"y": module.scale * x + module.offset}, {"x": tf.TensorSpec(None, tf.float32)}


def _pair(tf: Any, module: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    number = tf.TensorSpec(None, tf.float32)
    return lambda a, b: {"sum": a + b + module.offset, "product": a * b}, {"a": number, "b": number}


def _echo(tf: Any, module: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    text = tf.TensorSpec(None, tf.string)
    return lambda s: {"text": tf.identity(s), "raw_bytes": tf.identity(s)}, {"s": text}


PLAIN = {"linear": _linear, "pair": _pair, "echo": _echo}
"""Written as people write them today, with `tf.saved_model.save`."""


class Graph:
    """What a builder of a graph works with: `x`, the answer `y`, and how to name both."""

    def __init__(self, tf: Any, scale: float, offset: float, seconds: float) -> None:
        self.tf, self.seconds = tf, seconds
        v1 = tf.compat.v1
        self.x = v1.placeholder(tf.float32, None, name="x")
        self._scale = v1.get_variable("scale", initializer=scale, use_resource=True)
        self._offset = v1.get_variable("offset", initializer=offset, use_resource=True)
        self.y = self.answer(self.x)
        self.init: Any = None

    def answer(self, x: Any) -> Any:
        return self._scale * x + self._offset

    def after(self, *operations: Any) -> Any:
        """`y`, but not before these have run."""
        with self.tf.control_dependencies(operations):
            return self.tf.identity(self.y)

    def sleep(self, start: Any) -> Any:
        """0.0, `seconds` after `start` (any number above 0) is known.

        Nobody fills the batches, so each waits for its timeout, in a thread of no one; a request that joins somebody
        else's batch waits less, but only in the first of the steps. The kernel has no state and is dropped unless its
        output is used.
        """
        tf = self.tf
        step = int(self.seconds * 1e6 / SLEEP_STEPS)

        @tf.nondifferentiable_batch_function(
            num_batch_threads=2, max_batch_size=4096, batch_timeout_micros=step, max_enqueued_batches=10000,
            autograph=False,
        )  # fmt: skip
        def pause(value: Any) -> Any:
            return tf.identity(value)

        value = tf.reshape(tf.cast(start, tf.float32), [1])
        for _ in range(SLEEP_STEPS):
            value = pause(value)
        return tf.minimum(value[0], 0.0)

    def signature(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], method: str = PREDICT) -> Any:
        v1 = self.tf.compat.v1
        infos = ({name: v1.saved_model.build_tensor_info(one) for name, one in m.items()} for m in (inputs, outputs))
        return v1.saved_model.build_signature_def(*infos, method)

    def default(self, y: Any) -> Signatures:
        return {"serving_default": self.signature({"x": self.x}, {"y": y})}


def _slow(graph: Graph) -> Signatures:
    return graph.default(graph.y + graph.sleep(graph.tf.size(graph.x)))


def _slow_load(graph: Graph) -> Signatures:
    tf = graph.tf
    graph.init = tf.raw_ops.Assert(condition=graph.sleep(tf.timestamp()) > -1.0, data=[tf.constant("woken too early")])
    return graph.default(graph.y)


def _failing_load(graph: Graph) -> Signatures:
    tf = graph.tf
    broken = [tf.constant("this model cannot be initialised")]
    graph.init = tf.raw_ops.Assert(condition=tf.timestamp() < 0.0, data=broken)
    return graph.default(graph.y)


def _failing(graph: Graph) -> Signatures:
    # The zero is made from the input, so that the assertion is not folded away when the graph is optimised.
    tf = graph.tf
    zero = tf.reduce_sum(graph.x) * 0.0
    broken = [tf.constant("this model is broken")]
    return graph.default(graph.after(tf.raw_ops.Assert(condition=tf.not_equal(zero, 0.0), data=broken)))


def _failing_for_negative(graph: Graph) -> Signatures:
    tf = graph.tf
    fine = tf.reduce_all(graph.x >= 0.0)
    return graph.default(graph.after(tf.raw_ops.Assert(condition=fine, data=[tf.constant("negative input"), graph.x])))


def _hanging(graph: Graph) -> Signatures:
    tf = graph.tf
    queue: dict[str, Any] = {"component_types": [tf.float32]}
    handle = tf.raw_ops.FIFOQueueV2(shared_name="released", **queue)
    taken = tf.raw_ops.QueueDequeueV2(handle=handle, **queue)
    given = tf.raw_ops.QueueEnqueueV2(handle=handle, components=[tf.reduce_sum(graph.x)])
    release = graph.signature({"x": graph.x}, {"y": graph.after(given)})
    return {**graph.default(graph.after(*taken)), "release": release}


def _examples(graph: Graph) -> Signatures:
    tf = graph.tf
    serialized = tf.compat.v1.placeholder(tf.string, [None], name="examples")
    parsed = tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})
    y = tf.identity(graph.answer(parsed["x"]))
    scores = tf.concat([y, -y], axis=1)
    classes = tf.tile([["up", "down"]], [tf.shape(serialized)[0], 1])
    sent = {"inputs": serialized}
    classify = graph.signature(sent, {"classes": classes, "scores": scores}, CLASSIFY)
    regress = graph.signature(sent, {"outputs": y}, REGRESS)
    return {**graph.default(graph.y), "classify": classify, "regress": regress}


def _cancelled(graph: Graph) -> Any:
    tf = graph.tf
    queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.float32], shared_name="closed")
    with tf.control_dependencies([tf.raw_ops.QueueCloseV2(handle=queue)]):
        put = tf.raw_ops.QueueEnqueueV2(handle=queue, components=[tf.reduce_sum(graph.x)])
    return graph.after(put)


def _out_of_range(graph: Graph) -> Any:
    tf = graph.tf
    nothing = tf.cast(tf.size(graph.x), tf.int64) * 0
    kinds: dict[str, Any] = {"output_types": [tf.int64], "output_shapes": [[]]}
    dataset = tf.raw_ops.RangeDataset(start=nothing, stop=nothing, step=tf.constant(1, tf.int64), **kinds)
    iterator = tf.raw_ops.AnonymousIteratorV3(**kinds)
    with tf.control_dependencies([tf.raw_ops.MakeIterator(dataset=dataset, iterator=iterator)]):
        return graph.after(*tf.raw_ops.IteratorGetNextSync(iterator=iterator, **kinds))


def _already_exists(graph: Graph) -> Any:
    kinds: dict[str, Any] = {"shape": [], "dtype": graph.tf.float32, "var_name": "twice"}
    return graph.after(*(graph.tf.raw_ops.TemporaryVariable(**kinds) for _ in range(2)))


def _resource_exhausted(graph: Graph) -> Any:
    """A staging area too small for what is put into it; running out of memory would be tried again for 10 s."""
    return graph.after(graph.tf.raw_ops.Stage(values=[graph.x], memory_limit=1))


def _unimplemented(graph: Graph) -> Any:
    one = graph.tf.reshape(graph.tf.reduce_sum(graph.x), [1, 1, 1, 1])
    sizes: dict[str, Any] = {"ksize": [2, 1, 1, 1], "strides": [2, 1, 1, 1], "padding": "VALID"}
    return graph.tf.raw_ops.MaxPool(input=one, **sizes)


def _data_loss(graph: Graph) -> Any:
    text = graph.tf.strings.as_string(graph.tf.reduce_sum(graph.x))
    return graph.tf.raw_ops.DecodeCompressed(bytes=text, compression_type="ZLIB")


def _not_found(graph: Graph) -> Any:
    text = graph.tf.strings.as_string(graph.tf.reduce_sum(graph.x))
    return graph.tf.io.read_file(graph.tf.strings.join(["/no/such/file/", text]))


CODES: dict[str, Callable[[Graph], Any]] = {
    "ALREADY_EXISTS": _already_exists,
    "CANCELLED": _cancelled,
    "DATA_LOSS": _data_loss,
    "NOT_FOUND": _not_found,
    "OUT_OF_RANGE": _out_of_range,
    "RESOURCE_EXHAUSTED": _resource_exhausted,
    "UNIMPLEMENTED": _unimplemented,
}
"""What `erring` can fail with; INVALID_ARGUMENT and FAILED_PRECONDITION have models of their own."""


def _erring(graph: Graph) -> Signatures:
    failing = {code: graph.signature({"x": graph.x}, {"y": fail(graph)}) for code, fail in CODES.items()}
    return {**graph.default(graph.y), **failing}


KINDS: dict[str, Callable[[Graph], Signatures]] = {
    "slow": _slow,
    "slow_load": _slow_load,
    "failing": _failing,
    "failing_for_negative": _failing_for_negative,
    "failing_load": _failing_load,
    "hanging": _hanging,
    "examples": _examples,
    "erring": _erring,
}


def _save_graph(
    tf: Any, target: Path, kind: Callable[[Graph], Signatures], scale: float, offset: float, seconds: float
) -> None:
    """Write a graph as it is: several signatures on the same inputs, methods other than Predict, an init operation."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        graph = Graph(tf, scale, offset, seconds)
        signatures = kind(graph)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(target))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map=signatures, main_op=graph.init, strip_default_attrs=True
        )
        builder.save()
