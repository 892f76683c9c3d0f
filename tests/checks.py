"""Checks that hold for every task, and the tiny objects they are made on."""

import gc

import h5py
import keras
import numpy as np
from keras import ops

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.text.tokenizer import ElectraTokenizer

WORDS = ["the", "chef", "cook", "##ed", "ate", "meal", ".", "a"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
PRECISIONS = ["mixed_bfloat16", "mixed_float16"]


def tiny_tokenizer():
    """Thirteen tokens; `the` is 5."""
    return ElectraTokenizer(VOCABULARY, lowercase=True)


def tiny_backbone(**kwargs):
    """One layer of width 8 with 16 positions, narrower embeddings."""
    config = {
        "vocabulary_size": len(VOCABULARY),
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 16,
        "embedding_dim": 4,
        "max_sequence_length": 16,
        "initializer_range": 0.5,
    }
    return ElectraBackbone(**{**config, **kwargs})


def compile_quickly(task, **kwargs):
    """Compiles without XLA but on JAX, which is slow without it."""
    backend = keras.config.backend()
    task.compile(jit_compile=backend == "jax", **kwargs)


def compile_eagerly(task, **kwargs):
    """For a few steps: traces nothing but on JAX, which has to."""
    task.compile(run_eagerly=keras.config.backend() != "jax", **kwargs)


def ids(*rows):
    """Inputs of a network from rows of ids, padded with 0 to 8."""
    shape = (len(rows), 8)
    token_ids = np.zeros(shape, "int32")
    for row, row_ids in zip(token_ids, rows):
        row[: len(row_ids)] = row_ids
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros(shape, "int32"),
        "padding_mask": (token_ids > 0).astype("int32"),
    }


def outputs_of(task, x):
    """Output of a task for a dict of arrays, as float32; compiles nothing."""
    x = {name: ops.convert_to_tensor(array) for name, array in x.items()}
    return np.asarray(ops.convert_to_numpy(task(x)), "float32")


def check_same_outputs(task, other, x, atol=1e-5):
    """Two tasks of one class that compute the same."""
    assert type(other) is type(task)
    np.testing.assert_allclose(
        outputs_of(task, x), outputs_of(other, x), atol=atol
    )


def check_preset(task, x, folder):
    """Saved to a preset and opened again, by its own class; returns it."""
    task.optimizer.build(task.trainable_variables)
    task.save_to_preset(folder)
    with h5py.File(folder / "task.weights.h5") as file:
        assert "optimizer" not in file
    # What is not loaded must not come out equal by the seed of the test.
    keras.utils.set_random_seed(1)
    opened = type(task).from_preset(str(folder))
    check_same_outputs(task, opened, x)
    fresh = type(task).from_preset(str(folder), load_weights=False)
    assert not np.allclose(outputs_of(task, x), outputs_of(fresh, x))
    return opened


def check_keras_file(task, x, path):
    """Saved to one `.keras` file with its optimizer; returns the loaded."""
    task.compile(optimizer=keras.optimizers.Adam(0.25))
    task.optimizer.build(task.trainable_variables)
    task.optimizer.iterations.assign(3)
    task.save(path)
    keras.utils.set_random_seed(1)
    loaded = keras.saving.load_model(path)
    check_same_outputs(task, loaded, x)
    assert int(loaded.optimizer.iterations) == 3
    assert loaded.optimizer.get_config() == task.optimizer.get_config()
    assert type(loaded.loss) is type(task.loss)
    return loaded


def check_config(task):
    """The config rebuilds the task and survives twice."""
    config = task.get_config()
    rebuilt = type(task).from_config(dict(config))
    again = rebuilt.get_config()
    for name in config.keys() - {"backbone", "preprocessor"}:
        assert again[name] == config[name], name
    assert [w.shape for w in rebuilt.weights] == [w.shape for w in task.weights]


def check_precisions(build, x, shape):
    """Computes in half precision, keeps float32 weights, stays finite."""
    for policy in PRECISIONS:
        task = build(policy)
        assert {w.dtype for w in task.trainable_weights} == {"float32"}
        assert task.compute_dtype == policy.removeprefix("mixed_")
        arrays = {name: ops.convert_to_tensor(x[name]) for name in x}
        outputs = keras.Model.predict_on_batch(task, arrays)
        outputs = np.asarray(outputs, "float32")
        assert outputs.shape == shape
        assert np.all(np.isfinite(outputs))


def check_quantize(task, x, atol):
    """int8 weights give nearly the same numbers."""
    before = outputs_of(task, x)
    gc.freeze()  # Keras collects garbage for every weight
    task.quantize("int8")
    np.testing.assert_allclose(outputs_of(task, x), before, atol=atol)


def check_lora(task):
    """Of the backbone only the adapters and the biases beside them learn."""
    task.backbone.enable_lora(2)
    assert {w.name for w in task.backbone.trainable_weights} == {
        "bias",
        "lora_kernel_a",
        "lora_kernel_b",
    }
    head = {id(w) for w in task.weights} - {
        id(w) for w in task.backbone.weights
    }
    assert head <= {id(w) for w in task.trainable_weights}
