"""JAX's devices compute what one does: this file starts itself for that.

As a program, `FOLDER PORT`, it forks before JAX starts, to import once: two
processes with a device each, then this one with eight.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_electra
from tests.checks import ids
from tests.checks import tiny_backbone
from tests.pretraining.conftest import tiny_pretrainer

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="these devices are JAX's"
)
ROOT = pathlib.Path(__file__).parents[1]
# Ragged; the last three are a short batch after eight.
ROWS = ids(*([2, *range(5, 8 + n % 3), 3] for n in range(11)))
EIGHT = {name: array[:8] for name, array in ROWS.items()}


def data_parallel(count):
    devices = keras.distribution.list_devices()[:count]
    return keras.distribution.DataParallel(devices=devices)


def model_parallel(*shape):
    devices = keras.distribution.list_devices()[: np.prod(shape)]
    names = "batch", "model"
    mesh = keras.distribution.DeviceMesh(shape, names, devices)
    layouts = keras_electra.layout_map(mesh)
    return keras.distribution.ModelParallel(layout_map=layouts)


def finish(model, path, losses):
    np.savez(path, *map(keras.ops.convert_to_numpy, model.variables))
    path.with_suffix(".json").write_text(json.dumps(losses))


def pretrain(distribution, path, epochs, run=None, batch_size=8, rows=EIGHT):
    """Writes the weights to a path, and the losses beside it."""
    with distribution.scope() if distribution else contextlib.nullcontext():
        keras.utils.set_random_seed(3)
        model = tiny_pretrainer(dropout=0.1)
        model.compile(keras_electra.ElectraAdamW(1e-3, global_clipnorm=1.0))
        checkpoint = keras_electra.ResumableCheckpoint
        history = model.fit(
            rows,
            callbacks=[checkpoint(run, verbose=0)] if run else None,
            epochs=epochs,
            batch_size=batch_size,
            verbose=0,
        )
        finish(model, path, history.history["loss"])
        return model


def predict(distribution):
    """Of rows that devices do not divide, what a pre-trainer says."""
    with distribution.scope() if distribution else contextlib.nullcontext():
        keras.utils.set_random_seed(3)
        outputs = tiny_pretrainer().predict(ROWS, batch_size=8, verbose=0)
        assert len(outputs["replaced"]) == 11
        return outputs["discriminator_logits"].ravel().tolist()


def finetune(distribution, path, poison=False):
    """Clipped, two steps at a time, averaged weights; validates, predicts."""
    keras.utils.set_random_seed(3)
    y, rng = np.arange(11) % 3, np.random.default_rng(4)
    if poison:  # in float16 and in the row of one device
        keras.config.set_dtype_policy("mixed_float16")
    with distribution.scope() if distribution else contextlib.nullcontext():
        backbone = tiny_backbone(dropout=0.1)
        task = keras_electra.ElectraTextClassifier(backbone, num_classes=3)
        optimizer = keras_electra.ElectraAdamW(
            1e-3,
            global_clipnorm=0.1,
            gradient_accumulation_steps=2,
            use_ema=True,
        )
        if poison:
            scaled = keras.optimizers.LossScaleOptimizer
            optimizer = scaled(optimizer, initial_scale=16.0)
        task.compile(optimizer, weighted_metrics=["accuracy"])
        weights = rng.uniform(0.5, 2.0, 11).astype("float32")
        weights[5] *= np.nan if poison else 1.0
        history = task.fit(
            ROWS,
            y,
            sample_weight=weights,
            validation_data=(EIGHT, y[:8]),
            batch_size=8,
            epochs=2,
            verbose=0,
        ).history
        if poison:
            keras.config.set_dtype_policy("float32")
            assert history["skipped_steps"] == [1.0, 1.0]
            scale = optimizer.dynamic_scale
            assert float(keras.ops.convert_to_numpy(scale)) == 4.0
            return
        numbers = task.evaluate(ROWS, y, batch_size=8, verbose=0)
        outputs = task.predict(ROWS, batch_size=8, verbose=0)
        numbers += outputs.ravel().tolist() + sum(history.values(), [])
        finish(task, path, numbers)


def main(folder, port):
    """Epochs of one run on more and more devices, and all on one."""
    run, children = folder / "run", []
    for index in range(2):
        if not (child := os.fork()):
            os.environ["XLA_FLAGS"] = ""
            return main_of_two(folder, port, index)
        children.append(child)
    assert not any(os.waitpid(child, 0)[1] for child in children)
    model = pretrain(model_parallel(2, 2), folder / "2.npz", 2, run)
    split, slots = (
        [v for v in variables if "model" in v.value.sharding.spec]
        for variables in (model.variables, model.optimizer.variables)
    )
    assert len(split) == 12 and len(slots) == 24
    for change in ({"batch_size": 12}, {"batch_size": 16, "run": run}):
        with pytest.raises(ValueError, match="`batch_size`, of all .*devices"):
            pretrain(data_parallel(8), folder / "bad.npz", 3, **change)
    pretrain(None, folder / "one.npz", 2)
    expected = predict(None)
    np.testing.assert_allclose(predict(data_parallel(8)), expected, atol=1e-6)
    finetune(None, folder / "task-one.npz")
    finetune(data_parallel(8), folder / "task.npz")
    finetune(data_parallel(8), None, poison=True)


def main_of_two(folder, port, index):
    keras.distribution.initialize(f"localhost:{port}", 2, index)
    with pytest.raises(RuntimeError, match="2 processes would train apart"):
        pretrain(None, folder / "bad.npz", 1)
    other = {**EIGHT, "segment_ids": EIGHT["segment_ids"] + index}
    with pytest.raises(ValueError, match="Examples .* must be the same in all"):
        pretrain(data_parallel(2), folder / "bad.npz", 1, rows=other)
    path = folder / f"process-{index}.npz"
    pretrain(data_parallel(2), path, 1, folder / "run")
    finetune(data_parallel(2), folder / f"task-{index}.npz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flag = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_jax_devices", folder, str(port)],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


def numbers_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_a_run_goes_on_with_any_number_of_devices(folder):
    names = "process-0", "2"
    losses = [numbers_of(folder / f"{name}.npz") for name in names]
    expected = numbers_of(folder / "one.npz")
    np.testing.assert_allclose(sum(losses, []), expected, rtol=1e-6)
    assert numbers_of(folder / "process-1.npz") == losses[0]
    found, expected = (
        np.load(folder / f"process-{index}.npz") for index in range(2)
    )
    for name in expected.files:
        np.testing.assert_array_equal(found[name], expected[name])
    several, one = (np.load(folder / f"{name}.npz") for name in ("2", "one"))
    for name in one.files:
        both = several[name], one[name]
        np.testing.assert_allclose(*both, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["task", "task-0", "task-1"])
def test_a_task_on_several_devices(folder, name):
    """On eight of a process, and on two processes."""
    paths = folder / f"{name}.npz", folder / "task-one.npz"
    np.testing.assert_allclose(*map(numbers_of, paths), rtol=2e-6, atol=1e-6)
    found, expected = map(np.load, paths)
    for name in expected.files:
        both = found[name], expected[name]
        np.testing.assert_allclose(*both, rtol=1e-6, atol=1e-6)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
