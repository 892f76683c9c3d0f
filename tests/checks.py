"""Checks that hold for every task, and the tiny objects they are made on."""

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


def outputs_of(task, x):
    """Output of a task for a dict of arrays, as float32."""
    x = {name: ops.convert_to_tensor(array) for name, array in x.items()}
    return np.asarray(keras.Model.predict_on_batch(task, x), "float32")


def check_same_outputs(task, other, x, atol=1e-5):
    """Two tasks of one class that compute the same."""
    assert type(other) is type(task)
    np.testing.assert_allclose(
        outputs_of(task, x), outputs_of(other, x), atol=atol
    )


def check_preset(task, x, folder):
    """Saved to a preset and opened again, by its own class; returns it."""
    task.save_to_preset(folder)
    opened = type(task).from_preset(str(folder))
    check_same_outputs(task, opened, x)
    fresh = type(task).from_preset(str(folder), load_weights=False)
    assert not np.allclose(outputs_of(task, x), outputs_of(fresh, x))
    return opened


def check_keras_file(task, x, path):
    """Saved to one `.keras` file and loaded again; returns it."""
    task.save(path)
    loaded = keras.saving.load_model(path)
    check_same_outputs(task, loaded, x)
    return loaded


def check_config(task):
    """The config rebuilds the task and survives twice."""
    config = task.get_config()
    rebuilt = type(task).from_config(dict(config))
    again = rebuilt.get_config()
    for name in config.keys() - {"backbone", "preprocessor"}:
        assert again[name] == config[name], name
    assert [w.shape for w in rebuilt.weights] == [w.shape for w in task.weights]


def check_precisions(build, x):
    """Computes in half precision, keeps float32 weights, stays finite."""
    expected = outputs_of(build("float32"), x).shape
    for policy in PRECISIONS:
        task = build(policy)
        assert {w.dtype for w in task.trainable_weights} == {"float32"}
        assert task.compute_dtype == policy.removeprefix("mixed_")
        outputs = outputs_of(task, x)
        assert outputs.shape == expected
        assert np.all(np.isfinite(outputs))


def check_quantize(task, x, atol):
    """int8 weights give nearly the same numbers."""
    before = outputs_of(task, x)
    task.quantize("int8")
    np.testing.assert_allclose(outputs_of(task, x), before, atol=atol)


def check_lora(task, *data):
    """Only the adapters of the backbone are trained."""
    backbone = task.backbone
    backbone.enable_lora(2)
    assert {w.name for w in backbone.trainable_weights} == {
        "lora_kernel_a",
        "lora_kernel_b",
    }
    layer = backbone.transformer_layers[0].attention.query_key_value
    before = np.array(ops.convert_to_numpy(layer.lora_kernel_b))
    frozen = np.array(ops.convert_to_numpy(layer._kernel))
    task.compile()
    task.fit(*data, batch_size=2, epochs=2, verbose=0)
    after = ops.convert_to_numpy(layer.lora_kernel_b)
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer._kernel), frozen)
