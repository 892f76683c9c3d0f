import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.masked_lm import ElectraMaskedLMPreprocessor
from tests import checks

X = {
    **checks.ids([2, 5, 4, 7, 3], [2, 12, 4, 3]),
    "mask_positions": np.array([[2, 0], [2, 1]], "int32"),
}
TEXTS = ["the chef cooked", "the chef ate", "a meal.", "a meal the meal"]


def build(dtype="float32", **kwargs):
    return ElectraMaskedLM(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraMaskedLMPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **kwargs,
    )


@pytest.fixture(scope="module")
def task():
    return build()


@pytest.fixture(scope="module")
def blind():
    """Prefers the later tokens, whatever the text: id i has (i + 1) / 91."""
    task = build()
    embeddings = task.backbone.token_embedding.embeddings
    embeddings.assign(np.zeros((13, 4), "float32"))
    task.head.bias.assign(np.log(np.arange(1.0, 14.0)).astype("float32"))
    return task


def test_fill_mask_gives_the_most_probable(blind):
    filled = blind.fill_mask("The chef [MASK] a [MASK].", top_k=2)
    assert [[token for token, _ in pairs] for pairs in filled] == [
        ["a", "."],
        ["a", "."],
    ]
    for pairs in filled:
        assert [p for _, p in pairs] == pytest.approx([13 / 91, 12 / 91])
    [one] = blind.fill_mask("[MASK]", top_k=13)
    assert sum(p for _, p in one) == pytest.approx(1.0)


def test_fill_mask_reads_the_right_positions(task):
    texts = ["the [MASK] ate [MASK]", "[MASK] meal"]
    filled = task.fill_mask(texts, top_k=13)
    assert [len(entries) for entries in filled] == [2, 1]
    x = {
        **checks.ids([2, 5, 4, 9, 4, 3], [2, 4, 10, 3]),
        "mask_positions": np.array([[2, 4], [1, 1]], "int32"),
    }
    logits = checks.outputs_of(task, x)
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for row, entries in enumerate(filled):
        for place, pairs in enumerate(entries):
            values = np.sort(expected[row, place])[::-1]
            assert [p for _, p in pairs] == pytest.approx(values, abs=1e-5)
    alone = task.fill_mask(texts[0], top_k=13)
    for pairs, others in zip(alone, filled[0]):
        assert [p for _, p in pairs] == pytest.approx([p for _, p in others])
    assert (
        task.fill_mask(texts, top_k=13, batch_size=1)[1][0][0][0]
        == (filled[1][0][0][0])
    )
    assert task.fill_mask([]) == []


@pytest.mark.parametrize(
    "texts, kwargs, error, message",
    [
        ("the chef", {}, ValueError, r"0 of them \[MASK\]: 'the chef'"),
        (["[MASK]", "a"], {}, ValueError, r"\[MASK\].*'a'"),
        (5, {}, TypeError, "list of strings.*5"),
        (["[MASK]", None], {}, TypeError, "None"),
        ("[MASK]", {"top_k": 0}, ValueError, "top_k=0"),
        ("[MASK]", {"top_k": 14}, ValueError, "top_k=14"),
        ("[MASK]" + " a" * 6, {}, ValueError, "at most 6 tokens.*7 tokens"),
    ],
)
def test_fill_mask_errors(task, texts, kwargs, error, message):
    with pytest.raises(error, match=message):
        task.fill_mask(texts, **kwargs)


def test_fill_mask_needs_a_tokenizer():
    with pytest.raises(ValueError, match="fill_mask.*preprocessor"):
        ElectraMaskedLM(checks.tiny_backbone()).fill_mask("[MASK]")


def test_fit_on_texts():
    task = build()
    checks.compile_eagerly(task)
    history = task.fit(TEXTS, batch_size=2, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert int(task.optimizer.iterations) == 4
    # Masked alike in every evaluation.
    losses = [task.evaluate(TEXTS, verbose=0)[0] for _ in range(2)]
    assert np.isfinite(losses[0]) and losses[0] == losses[1]
    assert task.predict(TEXTS, verbose=0).shape == (4, 1, 13)


def test_saving(task, tmp_path):
    checks.check_config(task)
    checks.check_preset(task, X, tmp_path / "preset")
    checks.check_keras_file(task, X, tmp_path / "task.keras")
    folder = str(tmp_path / "preset")
    opened = keras_hub.models.MaskedLM.from_preset(folder)
    checks.check_same_outputs(task, opened, X)
    half = ElectraMaskedLM.from_preset(folder, dtype="bfloat16")
    assert half.head.bias.dtype == "bfloat16"


def test_precisions():
    checks.check_precisions(build, X, (2, 2, 13))


def test_lora_and_quantization():
    task = build()
    checks.check_quantize(task, X, atol=0.5)
    checks.check_lora(build())


@pytest.mark.parametrize("length", [0, -1, 2.5, True])
def test_a_length_that_selects_nothing(length):
    with pytest.raises(ValueError, match="mask_selection_length.*at least 1"):
        ElectraMaskedLMPreprocessor(
            checks.tiny_tokenizer(), mask_selection_length=length
        )


def test_every_token_masked():
    preprocess = ElectraMaskedLMPreprocessor(
        checks.tiny_tokenizer(),
        sequence_length=8,
        mask_selection_rate=1.0,
        mask_selection_length=3,
        mask_token_rate=1.0,
    )
    x, y, weights = preprocess(["the chef ate", "a"])
    read = {name: ops.convert_to_numpy(x[name]).tolist() for name in x}
    assert read["token_ids"] == [
        [2, 4, 4, 4, 3, 0, 0, 0],
        [2, 4, 3, 0, 0, 0, 0, 0],
    ]
    assert read["mask_positions"] == [[1, 2, 3], [1, 0, 0]]
    assert ops.convert_to_numpy(y).tolist() == [[5, 6, 9], [12, 0, 0]]
    assert ops.convert_to_numpy(weights).tolist() == [[1, 1, 1], [1, 0, 0]]


def test_masking_defaults_are_the_originals():
    preprocess = ElectraMaskedLMPreprocessor(checks.tiny_tokenizer())
    assert preprocess.mask_token_rate == 0.85
    assert preprocess.random_token_rate == 0.0
    assert preprocess.mask_selection_length == 79  # int(0.155 * 512)
    config = preprocess.get_config()
    again = ElectraMaskedLMPreprocessor.from_config(config)
    assert again.mask_selection_length == 79
