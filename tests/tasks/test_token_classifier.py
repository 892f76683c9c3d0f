import keras
import numpy as np
import pytest

from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from keras_electra.tasks.token_classifier import (
    ElectraTokenClassifierPreprocessor,
)
from keras_electra.tasks.token_classifier import encode_word_labels
from keras_electra.tasks.token_classifier import find_spans
from keras_electra.tasks.token_classifier import to_sentences
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
NAMES = ["O", "B-N", "I-N"]
SENTENCES = [["the", "chef", "cooked"], "a meal . the chef ate a meal the chef"]
LABELS = [["B-N", "I-N", "O"], "B-N I-N O B-N I-N O B-N I-N B-N I-N"]


def build(dtype="float32", **kwargs):
    return ElectraTokenClassifier(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraTokenClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        labels=NAMES,
        **kwargs,
    )


@pytest.fixture(scope="module")
def trained():
    task = build()
    checks.compile_quickly(task, optimizer=keras.optimizers.Adam(0.02))
    task.fit(SENTENCES, LABELS, batch_size=4, epochs=80, verbose=0)
    return task


def test_learns_labels_of_words_and_windows(trained):
    results = trained.evaluate(SENTENCES, LABELS, verbose=0, return_dict=True)
    assert results["accuracy"] == 1.0
    expected = [LABELS[0], LABELS[1].split()]
    assert trained.tag(SENTENCES) == expected
    assert trained.tag("the chef cooked") == expected[0]
    assert trained.tag([]) == []
    # The second is read in windows of six tokens.
    rows = trained.predict(SENTENCES, verbose=0)
    assert rows.shape == (4, 8, 3)


def test_entities(trained):
    [entity] = trained.find_entities("the  chef cooked")
    assert entity[:4] == ("N", 0, 2, "the chef")
    [probabilities] = trained.word_probabilities(["the chef cooked"])
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, atol=1e-5)
    expected = min(probabilities[0, 1], probabilities[1, 2])
    assert entity.probability == pytest.approx(expected, abs=1e-6)
    assert [len(some) for some in trained.find_entities(SENTENCES)] == [1, 4]


def test_one_label_whatever_the_pieces(trained):
    """`cooked` is two pieces, and judged by the first."""
    x = checks.ids([2, 5, 6, 7, 8, 3])
    logits = checks.outputs_of(trained, x)[0, [1, 2, 3]]
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    [probabilities] = trained.word_probabilities(["the chef cooked"])
    np.testing.assert_allclose(probabilities, scores, atol=1e-5)


def test_errors(trained):
    with pytest.raises(
        ValueError, match="Sentence 0,.* has 2 words and 1 labels"
    ):
        trained.fit(["the chef"], [["O"]])
    with pytest.raises(ValueError, match="names.*Label 1 is 'X'"):
        trained.fit(["the chef"], [["O", "X"]])
    with pytest.raises(ValueError, match="not empty. Entry 1 is"):
        trained.fit([["the"], ["chef", " "]], [["O"], ["O", "O"]])
    with pytest.raises(TypeError, match="Sentence 0 is 3 of type int"):
        trained.tag([3])
    with pytest.raises(ValueError, match="tag.*preprocessor"):
        ElectraTokenClassifier(checks.tiny_backbone(), 2).tag("the")
    with pytest.raises(ValueError, match="num_classes.*integer"):
        ElectraTokenClassifier(checks.tiny_backbone())


def test_saving(trained, tmp_path):
    checks.check_config(trained)
    opened = checks.check_preset(trained, X, tmp_path / "preset")
    assert opened.labels == NAMES
    assert opened.tag("the chef cooked") == LABELS[0]
    checks.check_keras_file(trained, X, tmp_path / "task.keras")


def test_precisions():
    checks.check_precisions(build, X, (2, 8, 3))


def test_lora_and_quantization():
    checks.check_quantize(build(), X, atol=0.2)
    checks.check_lora(build())


def preprocessor(**kwargs):
    return ElectraTokenClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=6, **kwargs
    )


def test_labels_are_at_first_pieces():
    x, y, weights = preprocessor()(["the cooked", ["a"]], [[1, 2], "1"])
    assert x["token_ids"].tolist() == [[2, 5, 7, 8, 3, 0], [2, 12, 3, 0, 0, 0]]
    assert not np.any(x["segment_ids"])
    assert y.tolist() == [[0, 1, 2, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert weights.tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    _, _, weights = preprocessor()(["the", "a"], [[1], [1]], [0.5, 2.0])
    assert weights[:, 1].tolist() == [0.5, 2.0]


def test_segment_of_the_original():
    x = preprocessor(segment_id=1)(["the chef"])
    assert x["segment_ids"].tolist() == x["padding_mask"].tolist()
    assert np.any(x["segment_ids"])


def test_long_sentences_become_rows():
    x, y, weights = preprocessor()(
        ["the chef ate a meal ."], [[1, 2, 3, 4, 5, 6]]
    )
    assert x["token_ids"].tolist() == [
        [2, 5, 6, 9, 12, 3],
        [2, 9, 12, 10, 11, 3],
    ]
    assert y[weights > 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_config_of_preprocessor():
    preprocess = preprocessor(segment_id=1)
    again = ElectraTokenClassifierPreprocessor.from_config(
        preprocess.get_config()
    )
    assert again.sequence_length == preprocess.sequence_length
    assert again.segment_id == 1
    older = {**preprocess.get_config(), "rules": "windows"}
    assert type(preprocess).from_config(older).segment_id == 1


def test_errors_of_preprocessor():
    with pytest.raises(TypeError, match="no argument `segment_ids`"):
        preprocessor(segment_ids=1)
    with pytest.raises(
        ValueError, match="Sentence 0,.* has 2 words and 1 labels"
    ):
        preprocessor().rows(["the chef"], [[1]])


# the 5, chef 6, cook 7, ##ed 8, ate 9, meal 10
WORDS = ["the", "cooked", "chef", "ate", "cooked", "meal"]


def test_every_word_is_judged_once():
    rows = preprocessor().split([["the"], WORDS])
    assert rows[0].ids == [2, 5, 3]
    assert (rows[0].words, rows[0].positions) == ([0], [1])
    windows = rows[1:]
    assert [row.ids for row in windows] == [
        [2, 5, 7, 8, 6, 3],
        [2, 8, 6, 9, 7, 3],
        [2, 9, 7, 8, 10, 3],
    ]
    assert {row.sentence for row in windows} == {1}
    assert sum((row.words for row in windows), []) == list(range(6))
    pieces = [row.ids[place] for row in windows for place in row.positions]
    assert pieces == [5, 7, 6, 9, 7, 10]


def test_words_without_pieces():
    [row] = preprocessor().split([["the", "\x01", "meal"]])
    assert row.ids == [2, 5, 1, 10, 3]
    assert row.positions == [1, 2, 3]


@pytest.mark.parametrize(
    "tags, spans",
    [
        ("B-NP I-NP O S-VP", [("NP", 0, 2), ("VP", 3, 4)]),
        ("B-NP B-NP I-NP", [("NP", 0, 1), ("NP", 1, 3)]),
        # Beginnings that tags do not mark, as conlleval sees them.
        ("I-NP I-NP I-VP O", [("NP", 0, 2), ("VP", 2, 3)]),
        ("O E-NP E-NP", [("NP", 1, 2), ("NP", 2, 3)]),
        ("B-NP E-NP I-NP", [("NP", 0, 2), ("NP", 2, 3)]),
        ("B-A-B L-A-B U-C", [("A-B", 0, 2), ("C", 2, 3)]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans(tags, spans):
    assert find_spans(tags.split()) == spans


@pytest.mark.parametrize("tag", ["NOUN", "X-NP", 3])
def test_other_labels(tag):
    with pytest.raises(ValueError, match="Spans are read from tags"):
        find_spans(["O", tag])


def test_words():
    for x in (["a  b", "c"], [["a", "b"], ["c"]]):
        assert to_sentences(x) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    "x, error, message",
    [
        ([["a", 1]], TypeError, "Sentence 0 is .*1. of type list"),
        ([3], TypeError, "Sentence 0 is 3 of type int"),
    ],
)
def test_bad_sentences(x, error, message):
    with pytest.raises(error, match=message):
        to_sentences(x)


def test_labels_of_words():
    encoder = LabelEncoder(2, ["O", "X"])
    words = [["a", "b"], ["c"]]
    for y in (["O X", "X"], [["O", "X"], ["X"]], [[0, 1], np.array([1])]):
        assert encode_word_labels(words, y, encoder) == [[0, 1], [1]]
    numbers = LabelEncoder(2)
    assert encode_word_labels(words, ["0 1", "1"], numbers) == [[0, 1], [1]]


@pytest.mark.parametrize(
    "y, message",
    [
        ([["O"], ["X"]], "Sentence 0,.* has 2 words and 1 labels"),
        ([["O", "X"], "X X"], "Sentence 1,.* has 1 words and 2 labels"),
        ([["O", "Y"], ["X"]], "In sentence 0: .*Label 1 is 'Y'"),
        ([[0, 1], [2]], "In sentence 1: .*Label 0 is 2"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        words = [["a", "b"], ["c"]]
        encode_word_labels(words, y, LabelEncoder(2, ["O", "X"]))


Y = np.array([[0, 1, 0], [1, 0, 0]])
LOGITS = np.log(np.array([[[1, 3], [1, 1], [9, 1]], [[1, 3], [7, 1], [1, 1]]]))
WEIGHTS = np.array([[1, 1, 0], [2, 0, 0]], "float32")


def test_weighted_words_count():
    loss = build().loss
    value = loss(Y, LOGITS.astype("float32"), sample_weight=WEIGHTS)
    total = np.log(4) + np.log(2) + 2 * np.log(4 / 3)
    assert float(keras.ops.convert_to_numpy(value)) == (
        pytest.approx(total / 4, abs=1e-5)
    )


def test_tables_and_streams_of_words(trained):
    """Lists of words, one by one and in batches, are what strings are."""
    words = [sentence.split() for sentence in ("the chef", "a meal the chef")]
    tags = [[1, 2], [1, 2, 1, 2]]
    batch = {"tokens": words, "ner_tags": tags}
    singles = [{"tokens": w, "ner_tags": t} for w, t in zip(words, tags)]
    expected = trained.evaluate(words, tags, verbose=0)
    for data in (batch, iter([batch]), iter(singles), iter(zip(words, tags))):
        result = trained.evaluate(data, verbose=0)
        assert result == pytest.approx(expected, abs=1e-5)
