"""TensorFlow: replicas of `tf.distribute`, inside of what they run."""

import keras
import tensorflow as tf


def count():
    context = tf.distribute.get_replica_context()  # `None` outside
    return 1 if context is None else context.num_replicas_in_sync


def index():
    if count() == 1:
        return 0
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def devices():
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(value):
    return value if count() == 1 else summed([value])[0]


def summed(tensors):
    if count() == 1:
        return tensors
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def gathered(rows):
    if count() == 1:
        return rows
    return tf.distribute.get_replica_context().all_gather(rows, axis=0)


def processes():
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None:
        return 0, 1
    spec = resolver.cluster_spec().as_dict()
    workers = len(spec.get("worker", [])) + len(spec.get("chief", []))
    return int(resolver.task_id or 0), max(1, workers)


def everyone(number):
    size = processes()[1]
    if size == 1:
        return [number]
    strategy = tf.distribute.get_strategy()
    gather = tf.function(lambda: strategy.run(lambda: _gather_one(number)))
    values = strategy.experimental_local_results(gather())[0].numpy().tolist()
    return values[:: len(values) // size]  # processes have equally many


def _gather_one(number):
    return gathered(tf.constant([number], tf.int32))


def begin(variables):
    """Nothing to do: a strategy mirrors the variables made in its scope."""


def spread(x):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)
