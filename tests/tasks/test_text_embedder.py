import keras
import numpy as np
import pytest

from keras_electra.tasks.text_embedder import ContrastiveLoss
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.tasks.text_embedder import ElectraTextEmbedderPreprocessor
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
PAIRS = (["the chef", "a meal", "ate"], ["chef", "meal .", "cooked ate"])


def build(dtype="float32", **kwargs):
    return ElectraTextEmbedder(
        checks.tiny_backbone(dtype=dtype, dropout=0.0, num_layers=2),
        preprocessor=ElectraTextEmbedderPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **kwargs,
    )


def test_layers_and_pooling():
    task = build(layer=2, normalize=False)
    vectors = task.backbone.predict(X, verbose=0)["sequence_output"]
    mask = X["padding_mask"][:, :, None]
    mean = (vectors * mask).sum(axis=1) / mask.sum(axis=1)
    np.testing.assert_allclose(checks.outputs_of(task, X), mean, atol=1e-5)
    first = ElectraTextEmbedder(task.backbone, pooling="cls", layer=2)
    expected = vectors[:, 0]
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(checks.outputs_of(first, X), expected, atol=1e-5)
    # The middle one, unless told otherwise.
    middle = ElectraTextEmbedder(task.backbone, normalize=False)
    assert middle.layer == 1
    # Or the one that was taught vectors, which its preset remembers.
    config = {**task.backbone.get_config(), "vector_layer": 2}
    taught = type(task.backbone).from_config(config)
    assert ElectraTextEmbedder(taught).layer == 2
    lower = keras.Model(
        task.backbone.input, task.backbone.transformer_layers[0].output
    ).predict(X, verbose=0)
    mean = (lower * mask).sum(axis=1) / mask.sum(axis=1)
    np.testing.assert_allclose(checks.outputs_of(middle, X), mean, atol=1e-5)


def test_embeds_texts():
    task = build()
    vectors = task.embed(PAIRS[0])
    assert vectors.shape == (3, 8) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one = task.embed("a meal", batch_size=1)
    np.testing.assert_allclose(one, vectors[1], atol=1e-5)
    assert task.embed([]).shape == (0, 8)
    predicted = task.predict(PAIRS[0], verbose=0)
    np.testing.assert_allclose(predicted, vectors, atol=1e-5)


def test_pairs_come_close():
    task = build(layer=2)
    checks.compile_quickly(task, optimizer=keras.optimizers.Adam(0.01))
    before = task.evaluate(PAIRS, verbose=0)
    task.fit(PAIRS, batch_size=3, epochs=25, verbose=0)
    after = task.evaluate(PAIRS, verbose=0, return_dict=True)["loss"]
    assert after < 0.5 * min(before, np.log(5))
    similar = task.embed(PAIRS[0]) @ task.embed(PAIRS[1]).T
    assert similar.argmax(axis=1).tolist() == [0, 1, 2]


def test_errors():
    task = build()
    with pytest.raises(ValueError, match="1, 2. Received: layer=3"):
        build(layer=3)
    with pytest.raises(ValueError, match="`pooling` must be one of"):
        build(pooling="max")
    with pytest.raises(ValueError, match="not empty. Entry 1"):
        task.fit((["the", "a"], ["a", " "]))
    with pytest.raises(TypeError, match="list of strings.*3 of type int"):
        task.embed(3)
    with pytest.raises(ValueError, match="different lengths"):
        task.fit((["the"], ["a", "b"]))
    with pytest.raises(ValueError, match="embed.*preprocessor"):
        ElectraTextEmbedder(checks.tiny_backbone()).embed("the")


def test_saving(tmp_path):
    task = build(layer=2, pooling="cls")
    checks.check_config(task)
    # It has no weights beside its backbone's.
    task.save_to_preset(tmp_path / "preset")
    keras.utils.set_random_seed(1)
    opened = ElectraTextEmbedder.from_preset(str(tmp_path / "preset"))
    checks.check_same_outputs(task, opened, X)
    assert (opened.layer, opened.pooling) == (2, "cls")
    checks.check_keras_file(task, X, tmp_path / "task.keras")
    lower = ElectraTextEmbedder.from_preset(str(tmp_path / "preset"), layer=1)
    assert checks.outputs_of(lower, X).shape == (2, 8)


def test_precisions():
    for policy in checks.PRECISIONS:
        task = build(policy)
        vectors = task.embed(PAIRS[0])
        assert np.all(np.isfinite(vectors))
        np.testing.assert_allclose(
            np.linalg.norm(vectors, axis=1), 1, atol=1e-3
        )


def test_lora_and_quantization():
    checks.check_quantize(build(), X, atol=0.2)
    checks.check_lora(build())


def test_rows_and_groups():
    preprocess = ElectraTextEmbedderPreprocessor(
        checks.tiny_tokenizer(), sequence_length=4
    )
    x = preprocess(["the chef", "a"])
    assert x["token_ids"].tolist() == [[2, 5, 6, 3], [2, 12, 3, 0]]
    x, y = preprocess(["the chef", "a"], [4, 4])
    assert y.tolist() == [4, 4]
    # Pairs become neighbours of one group.
    x, y = preprocess((["the", "a"], ["chef", "meal"]), y=None)
    assert x["token_ids"][:, 1].tolist() == [5, 6, 12, 10]
    assert y.tolist() == [0, 0, 1, 1]
    _, _, weights = preprocess((["the"], ["a"]), None, [0.5])
    assert weights.tolist() == [0.5, 0.5]


def value(groups, vectors, **kwargs):
    loss = ContrastiveLoss(temperature=0.5, **kwargs)
    result = loss(np.array(groups), np.array(vectors, "float32"))
    return keras.ops.convert_to_numpy(result)


def test_loss():
    vectors = [[1, 0], [5, 0], [0, 1], [0, 2]]
    right = value([0, 0, 1, 1], vectors)
    # Cosines 1 for the partner, 0 for two others, over 0.5.
    assert right == pytest.approx(np.log(np.exp(2) + 2) - 2, abs=1e-5)
    wrong = value([0, 1, 0, 1], vectors)
    assert wrong == pytest.approx(np.log(np.exp(2) + 2), abs=1e-5)


def test_alone():
    losses = value([0, 0, 1], [[1, 0], [1, 0], [0, 1]], reduction=None)
    assert losses[2] == 0.0 and losses[0] > 0


def test_config_of_loss():
    loss = ContrastiveLoss(temperature=0.1)
    assert ContrastiveLoss.from_config(loss.get_config()).temperature == 0.1
