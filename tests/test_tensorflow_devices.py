"""Replicas of `tf.distribute` compute what one device does on the whole batch.

Run as a program, `FOLDER`, this file forks before TensorFlow starts: two
workers, then a process of two devices. Each writes there what it has computed.
"""

import contextlib
import json
import os
import pathlib
import pickle
import re
import signal
import socket
import subprocess
import sys
import traceback

import keras
import numpy as np
import pytest
from keras import ops

import keras_electra
from tests import checks

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="is about TensorFlow"
)
ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = ("worker-0", "worker-1", "replicas")
QUIET = {"verbose": 0, "batch_size": 4}
TEXTS = ["the chef ate", "a meal", "the the cook", "chef", "a chef cooked ."]


scope = contextlib.nullcontext  # of a strategy that models are made in


def rows(count, seed=0):
    """Ragged rows of 4 to 8 tokens."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 9, count)
    return checks.ids(*([2, *rng.integers(5, 13, n - 2), 3] for n in lengths))


def pretrainer():
    keras.utils.set_random_seed(0)
    backbone = checks.tiny_backbone()
    generator = checks.tiny_backbone(embeddings=backbone.embeddings)
    model = keras_electra.ElectraPretrainer(
        backbone,
        generator,
        mask_token_id=4,
        unselectable_token_ids=range(5),
        random_token_rate=0.1,
        seed=3,
    )
    optimizer = keras_electra.ElectraAdamW(1e-4)
    checks.compile_eagerly(model, optimizer=optimizer)
    return model


def task(name, optimizer=None, **kwargs):
    """A task, compiled to be run eagerly unless something is given."""
    keras.utils.set_random_seed(0)
    cls = getattr(keras_electra, f"Electra{name}")
    classes = {"num_classes": 3} if name.endswith("Classifier") else {}
    preprocessor = cls.preprocessor_cls(checks.tiny_tokenizer(), 8)
    optimizer = optimizer or keras_electra.ElectraAdamW(
        1e-3, global_clipnorm=0.05
    )
    kwargs = {"run_eagerly": True, "jit_compile": False} | kwargs
    with scope():
        backbone = checks.tiny_backbone()
        model = cls(backbone, preprocessor=preprocessor, **classes)
        model.compile(optimizer=optimizer, **kwargs)
    return model


def weights(model):
    return [
        np.array(ops.convert_to_numpy(v)) for v in model.trainable_variables
    ]


# What the processes do.


def pretraining(folder=None, epochs=2, killed=False):
    """Last batches of one row; logs, evaluation and weights."""
    with scope():
        model, callbacks = pretrainer(), []
    if folder:
        callbacks = [keras_electra.ResumableCheckpoint(folder, verbose=0)]
    if killed:
        kill = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        )
        callbacks.append(kill)
    given = rows(5), None, 4, epochs
    held_out = {"validation_data": rows(3), "shuffle": False}
    fitted = model.fit(*given, verbose=0, callbacks=callbacks, **held_out)
    scores = model.evaluate(rows(3, seed=1), return_dict=True, **QUIET)
    return fitted.history, scores, weights(model)


def classifying():
    """Accumulated gradients and averaged weights, compiled; predictions."""
    optimizer = keras_electra.ElectraAdamW(
        1e-3,
        global_clipnorm=0.05,
        gradient_accumulation_steps=2,
        use_ema=True,
        ema_overwrite_frequency=3,
    )
    model = task("TextClassifier", optimizer, run_eagerly=False)
    x, y = rows(9), np.arange(9) % 3
    fitted = model.fit(x, y, epochs=2, shuffle=False, **QUIET)
    predicted = model.predict(x, **QUIET)
    return fitted.history, predicted, weights(model)


def tagging():
    """Tokens weigh, and lengths vary between batches."""
    model = task("TokenClassifier")
    x = rows(7)
    x = {n: np.pad(array, ((0, 0), (0, 4))) for n, array in x.items()}
    given = x, x["token_ids"] % 3, 4, 2
    fitted = model.fit(
        *given, sample_weight=x["padding_mask"], shuffle=False, verbose=0
    )
    return fitted.history, model.predict(x, **QUIET), weights(model)


TASKS = ("MaskedLM", "MultipleChoice", "QuestionAnswering") + (
    "ReplacedTokenDetector", "TextEmbedder",
)  # fmt: skip
DATA = {
    "TextClassifier": (TEXTS[:4], [0, 1, 2, 0]),
    "MaskedLM": (TEXTS,),
    "MultipleChoice": ((TEXTS, [["a meal", "the"]] * 5), [0, 1, 0, 1, 0]),
    "QuestionAnswering": (TEXTS, ["chef", "meal", "cook", "chef", "chef"]),
    "ReplacedTokenDetector": (TEXTS, [[0, 1, 0, 0]] * 5),
    "TextEmbedder": ((TEXTS, TEXTS[::-1]),),
}


def one_step(name):
    keras.utils.set_random_seed(1)
    model = task(name)
    x, *y = DATA[name]
    if name == "QuestionAnswering":
        answers = [
            {"text": [t], "answer_start": [c.find(t)]} for t, c in zip(y[0], x)
        ]
        x, y = (["the ?"] * 5, x), [answers]
    fitted = model.fit(x, *y, batch_size=5, shuffle=False, verbose=0)
    return fitted.history, weights(model)


def scaling():
    """float16, whose optimizer skips by itself and accumulates."""
    keras.config.set_dtype_policy("mixed_float16")
    inner = keras_electra.ElectraAdamW(1e-3, gradient_accumulation_steps=2)
    optimizer = keras.optimizers.LossScaleOptimizer(
        inner, initial_scale=2.0**17
    )
    model = task("TextClassifier", optimizer)
    keras.config.set_dtype_policy("float32")
    fitted = model.fit(rows(8), np.arange(8) % 3, epochs=2, **QUIET)
    return fitted.history["skipped_steps"], float(
        ops.convert_to_numpy(optimizer.dynamic_scale)
    )


def skipping():
    """NaN for a token that the last row alone has: weights and logs."""
    model, x = task("TextClassifier"), rows(4)
    x["token_ids"][:, 1] = [5, 5, 5, 12]
    x["token_ids"][x["token_ids"] == 12] = 6
    x["token_ids"][3, 1] = 12
    table = model.backbone.embeddings.token_embedding.embeddings
    table.assign(ops.where(np.arange(13)[:, None] == 12, np.nan, table))
    before = weights(model)
    logs = model.train_on_batch(x, np.zeros(4, "int32"), return_dict=True)
    pairs = zip(before, weights(model))
    same = [np.array_equal(*pair, equal_nan=True) for pair in pairs]
    return logs["skipped_steps"], all(same)


def raised(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def replicas(folder, name):
    import tensorflow as tf

    from keras_electra.backend import tensorflow as engine

    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}

    def compare(name, function, *args):
        global scope
        results[name] = [function(*args)]
        scope = strategy.scope
        results[name].append(function(*args))
        scope = contextlib.nullcontext

    compare("kernels", one_step, "TextClassifier")
    # They are compiled for every shape.
    engine.can_run = lambda layer, x, training: False
    compare("pretraining", pretraining)
    compare("classifying", classifying)
    compare("tagging", tagging)
    compare("scaling", scaling)
    compare("skipping", skipping)
    for name in TASKS:
        compare(name, one_step, name)
    results["resumed"] = pretraining(folder / "workers")
    data = rows(4), np.zeros(4)
    with strategy.scope():
        model = task("TextClassifier", jit_compile=True, run_eagerly=False)
        results["compiled"] = raised(model.fit, *data, verbose=0)
    built = keras.optimizers.SGD()
    task("TextClassifier", built).optimizer.build([keras.Variable(0.0)])
    with strategy.scope():
        model = task("TextClassifier", built)
        results["optimizer"] = raised(model.fit, *data, verbose=0)
        model = task("TextClassifier")
        regularizer = keras.regularizers.L2(1.0)
        model.output_dense.kernel.regularizer = regularizer
        results["added loss"] = raised(model.fit, *data, verbose=0)
    with tf.distribute.experimental.CentralStorageStrategy().scope():
        results["strategy"] = raised(task, "TextClassifier")
    return results


def worker(folder, name):
    import tensorflow as tf

    folder = folder / "workers"
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        result = pretraining(folder, epochs=1)
        save(folder / name, result)
        return raised(pretraining, folder, killed=name == NAMES[1])


def save(path, result):
    path.with_suffix(".pickle").write_bytes(pickle.dumps(result))


def fork(function, folder, name):
    child = os.fork()
    if child:
        return child
    try:
        result = function(folder, name)
    except BaseException:
        result = traceback.format_exc()
    save(folder / name, result)
    os._exit(0)


if __name__ == "__main__":
    folder, peers = pathlib.Path(sys.argv[1]), []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            peers.append(f"127.0.0.1:{free.getsockname()[1]}")
    children = []
    for index, name in enumerate(NAMES[:2]):
        role = {"type": "worker", "index": index}
        config = {"cluster": {"worker": peers}, "task": role}
        os.environ["TF_CONFIG"] = json.dumps(config)
        children.append(fork(worker, folder, name))
    del os.environ["TF_CONFIG"]
    for child in children:
        os.waitpid(child, 0)
    os.waitpid(fork(replicas, folder, NAMES[2]), 0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each process has computed, by its name."""
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-m", "tests.test_tensorflow_devices", folder]
    subprocess.run(command, cwd=ROOT, timeout=900, check=True)
    found = {
        path.stem + "-end" * (path.parent == folder): pickle.loads(
            path.read_bytes()
        )
        for path in folder.rglob("*.pickle")
    }
    assert isinstance(found["replicas-end"], dict), found["replicas-end"]
    return found


def assert_close(one, other):
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6),
        one,
        other,
    )


@pytest.mark.parametrize(
    "name", ["kernels", "pretraining", "classifying", "tagging", *TASKS]
)
def test_replicas_compute_what_one_device_does(results, name):
    assert_close(*results["replicas-end"][name])


def test_row_without_number_skips_the_step_of_all(results):
    assert results["replicas-end"]["skipping"] == [(1.0, True)] * 2


def test_loss_scales_are_found_alike(results):
    one, two = results["replicas-end"]["scaling"]
    assert one == two and one[0][0] > 0


def test_workers_compute_what_one_device_does(results):
    first, second = results["worker-0"], results["worker-1"]
    keras.tree.map_structure(np.testing.assert_array_equal, first, second)
    (history, _, _), _ = results["replicas-end"]["pretraining"]
    begun = {name: values[:1] for name, values in history.items()}
    assert_close(begun, first[0])


def test_lost_worker_ends_the_others_and_one_device_goes_on(results):
    assert "one has ended" in results["worker-0-end"]
    assert "worker-1-end" not in results
    whole, _ = results["replicas-end"]["pretraining"]
    history, *rest = results["replicas-end"]["resumed"]
    assert len(history["loss"]) == 1
    assert_close(whole[1:], tuple(rest))


@pytest.mark.parametrize(
    "case, message",
    [
        ("compiled", "ValueError: XLA.*Received: jit_compile=True"),
        ("optimizer", "ValueError: The SGD was built outside"),
        ("added loss", "NotImplementedError: Losses that layers add"),
        ("strategy", "NotImplementedError.*CentralStorageStrategy"),
    ],
)
def test_what_cannot_be_done_is_refused(results, case, message):
    assert re.match(message, results["replicas-end"][case], re.DOTALL)
