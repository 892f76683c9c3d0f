"""TensorFlow: replicas of `tf.distribute`, each with its rows of every batch.

Keras runs a step as on one device, with the whole batch. Here each replica
takes its rows, and their outputs are joined again: loss, metrics, guard and
update see all rows, outside of replicas, where branches may not wait for each
other and Keras would sum again. Only a network runs where `count()` is not 1.
"""

import random
from typing import Any

import keras
import tensorflow as tf

KINDS: tuple[Any, ...] = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)
_workers = None  # the strategy of several processes that a model was made in


def count() -> Any:
    context = tf.distribute.get_replica_context()  # `None` outside
    return 1 if context is None else context.num_replicas_in_sync


def index() -> Any:
    if count() == 1:
        return 0
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def devices() -> int:
    return 1  # batches stay whole, of any size: each replica takes its rows


def fillers(size: Any) -> int:
    return 0


def total(value: Any) -> Any:
    return summed([value])[0]


def summed(tensors: Any) -> Any:
    if count() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def gathered(rows: Any) -> Any:
    if count() == 1:
        return rows
    return tf.distribute.get_replica_context().all_gather(rows, axis=0)


def processes() -> tuple[Any, ...]:
    if _workers is None:
        return 0, 1
    resolver = _workers.cluster_resolver
    workers = resolver.cluster_spec().as_dict()
    index = resolver.task_id + (
        len(workers.get("chief", ())) if resolver.task_type == "worker" else 0
    )
    return index, sum(map(len, workers.values()))


def everyone(number: Any) -> Any:
    if _workers is None:
        return [number]

    @tf.function
    def gather():
        return _workers.run(lambda: gathered(tf.constant([number], tf.int64)))

    values = _workers.experimental_local_results(together(gather)())
    return values[0].numpy().tolist()[:: len(values)]


def together(function: Any) -> Any:
    """A function that all workers call, with an error if one is missing."""

    def call(*args):
        try:
            return function(*args)
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            index, size = processes()
            raise ConnectionError(
                f"Worker {index} of {size} waited for the others in vain: one "
                "has ended, or the network fails. Start all again; with "
                "`ResumableCheckpoint` they go on after the last epoch."
            ) from error

    return call if _workers else function


def begin(variables: Any) -> None:
    # A strategy mirrors the variables that are made in its scope.
    version, numbers, rest = random.getstate()
    numbers = tuple(everyone(numbers)[0])  # by which some tasks mask
    random.setstate((version, numbers, rest))


def spread(x: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)


class OneDevice:
    """What Keras gets for a strategy, even if it is called in its scope."""

    @staticmethod
    def run(function: Any, args: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()  # which knows the scopes
        names = "_distribution_strategy_stack", "_variable_creator_stack"
        stacks = {name: getattr(graph, name) for name in names}
        try:
            for name in names:
                setattr(graph, name, [])
            return function(*args)
        finally:
            for name, stack in stacks.items():
                setattr(graph, name, stack)

    @staticmethod
    def experimental_distribute_dataset(dataset: Any) -> Any:
        return dataset


def check(strategy: Any) -> Any:
    """Raises for a strategy that models cannot be made in."""
    if not isinstance(strategy, KINDS):
        raise NotImplementedError(
            "Models are made in the scope of a MirroredStrategy or MultiWorker"
            "MirroredStrategy, whose replicas have all weights and agree on "
            f"every step. Received: {type(strategy).__name__}."
        )
    global _workers
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        _workers = strategy


def adopt(optimizer: Any, strategy: Any) -> None:
    """Makes an optimizer update all replicas, if made outside of the scope."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    for one in (optimizer, inner, *getattr(optimizer, "optimizers", ())):
        if one.built and one._distribution_strategy is not strategy:
            raise ValueError(
                f"The {type(one).__name__} was built outside of the scope of "
                "the model's strategy. Make it new, or inside of it."
            )
        one._distribution_strategy = strategy


def outputs(strategy: Any, model: Any, x: Any) -> Any:
    """Those of all rows of `x`, for evaluation and prediction."""
    parts = strategy.run(lambda x: model(_own(x), training=False), (x,))
    return _join(strategy, parts, _rows(x))


def gradients(strategy: Any, model: Any, x: Any, judge: Any) -> tuple[Any, ...]:
    """`judge(outputs)`, the outputs of all rows, and gradients.

    `judge` returns a tuple of scalars, the last one to be differentiated.
    """
    variables = [v.value for v in model.trainable_variables]
    rows, used, results = _rows(x), [], []

    def run(x):
        with tf.GradientTape() as tape:
            parts = tf.nest.flatten(model(_own(x), training=True))
        context = tf.distribute.get_replica_context()
        slopes = _own(context.merge_call(differentiate, (parts,)))
        slopes = tape.gradient([parts[i] for i in used], variables, slopes)
        return summed(
            [
                tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
                for g, v in zip(slopes, variables)
            ]
        )

    def differentiate(strategy, parts):
        flat = _join(strategy, parts, rows)
        with tf.GradientTape() as tape:
            tape.watch([part for part in flat if part.dtype.is_floating])
            whole = tf.nest.pack_sequence_as(model.output, flat)
            judged = OneDevice.run(judge, (whole,))
        slopes = tape.gradient(judged[-1], flat)
        results.extend((judged, whole))
        used.extend(i for i, s in enumerate(slopes) if s is not None)
        return [slopes[i] for i in used]

    # They are the same everywhere, and the optimizer takes them anywhere.
    parts = strategy.run(run, (x,))
    if model.losses:
        raise NotImplementedError(
            "Losses that layers add, as for regularizers, are not summed over "
            "replicas. Use `weight_decay` of the optimizer."
        )
    first = [strategy.experimental_local_results(part)[0] for part in parts]
    return *results, first


def _own(whole):
    """The rows of this replica, equally many: zeros behind the last ones."""
    size = -(-_rows(whole) // count())

    def take(part):
        more = [(0, 0)] * (part.shape.rank - 1)
        rest = size * count() - tf.shape(part)[0]
        part = tf.pad(part, [(0, rest), *more])
        return part[index() * size : (index() + 1) * size]

    return tf.nest.map_structure(take, whole)


def _join(strategy, parts, rows):
    def join(part):
        one, *_ = strategy.experimental_local_results(part)
        whole = strategy.gather(part, axis=0)[:rows]
        return tf.ensure_shape(whole, [None, *one.shape[1:]])

    return tf.nest.map_structure(join, parts)


def _rows(x):
    return tf.shape(tf.nest.flatten(x)[0])[0]
