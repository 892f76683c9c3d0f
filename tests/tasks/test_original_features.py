"""Features of the fine-tuning tasks equal those of the original program."""

import json

import numpy as np
import pytest

from keras_electra.tasks.qa_windows import answer_positions
from keras_electra.tasks.question_answering_preprocessor import (
    ElectraQuestionAnsweringPreprocessor,
)
from keras_electra.tasks.rows import trim_pair
from keras_electra.tasks.text_classifier_preprocessor import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.tasks.token_classifier_preprocessor import (
    ElectraTokenClassifierPreprocessor,
)
from keras_electra.text.tokenizer import ElectraTokenizer
from tests.tasks.original_questions import questions

NAMES = {
    "token_ids": "input_ids",
    "segment_ids": "segment_ids",
    "padding_mask": "input_mask",
}
CLASSIFICATION = [
    "mrpc_train",
    "mrpc_train_single_order",
    "mrpc_dev",
    "cola_train",
    "cola_test",
    "mnli_dev",
    "sts_train",
]


@pytest.fixture(scope="module")
def tokenizer(golden):
    return ElectraTokenizer(str(golden / "vocab.txt"), lowercase=True)


@pytest.fixture(scope="module")
def arrays(golden):
    return dict(np.load(golden / "finetune_features.npz"))


@pytest.fixture(scope="module")
def description(golden):
    text = (golden / "finetune_features.json").read_text(encoding="utf-8")
    return json.loads(text)


def check_rows(x, arrays, key, rows=slice(None)):
    for ours, theirs in NAMES.items():
        expected = arrays[f"{key}/{theirs}"][rows]
        np.testing.assert_array_equal(x[ours], expected, err_msg=ours)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_texts_and_pairs(name, tokenizer, arrays, description):
    key = f"classification/{name}"
    examples = description["classification"]["sets"][key]["examples"]
    preprocess = ElectraTextClassifierPreprocessor(
        tokenizer, sequence_length=32
    )
    x = [example["text_a"] for example in examples]
    if examples[0]["text_b"] is not None:
        x = (x, [example["text_b"] for example in examples])
    check_rows(preprocess(x, y=None), arrays, key)


def test_pairs_are_cut_where_they_are_longer(description):
    table = description["classification"][
        "truncate_pair_len_a_len_b_max_to_len_a_len_b"
    ]
    assert len(table) == 60
    for first, second, room, *expected in table:
        pair = trim_pair(list(range(first)), list(range(second)), room)
        assert [len(part) for part in pair] == expected
        assert pair == (list(range(expected[0])), list(range(expected[1])))


@pytest.mark.parametrize("split", ["train", "dev"])
def test_words(split, tokenizer, arrays, description):
    key = f"tagging/chunk_{split}"
    sentences = description["tagging"]["sets"][key]["sentences"]
    words = [words for words, _ in sentences]
    preprocess = ElectraTokenClassifierPreprocessor(
        tokenizer, sequence_length=40, segment_id=1, rules="original"
    )
    rows = preprocess.split(words)
    check_rows(preprocess.pack(rows), arrays, key)
    numbers = description["tagging"]["label_mapping"]
    tags = description["tagging"]["sets"][key]["bioes"]
    for i, row in enumerate(rows):
        count = len(row.positions)
        positions = np.zeros(40, int)
        positions[:count] = row.positions
        mask = np.arange(40) < count
        labels = np.zeros(40, int)
        labels[: len(tags[i])] = [numbers[tag] for tag in tags[i]]
        for name, ours in (
            ("labeled_positions", positions),
            ("labels_mask", mask),
            ("labels", labels),
        ):
            theirs = arrays[f"{key}/chunk_{name}"][i]
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_words_of_sound_sentences(tokenizer, arrays, description):
    """Without the rules that lose words the rest is the same."""
    key = "tagging/chunk_train"
    sentences = description["tagging"]["sets"][key]["sentences"]
    numbers = description["tagging"]["label_mapping"]
    # Not: a word without pieces, a long sentence, a word "[SEP]".
    sound = [0, 1, 3, 6]
    preprocess = ElectraTokenClassifierPreprocessor(
        tokenizer, sequence_length=40, segment_id=1
    )
    tags = description["tagging"]["sets"][key]["bioes"]
    x, y, weights = preprocess(
        [sentences[i][0] for i in sound],
        [[numbers[tag] for tag in tags[i]] for i in sound],
    )
    check_rows(x, arrays, key, sound)
    for row, i in enumerate(sound):
        count = int(arrays[f"{key}/chunk_labels_mask"][i].sum())
        assert weights[row].sum() == count
        positions = arrays[f"{key}/chunk_labeled_positions"][i][:count]
        assert np.flatnonzero(weights[row]).tolist() == positions.tolist()
        labels = arrays[f"{key}/chunk_labels"][i][:count]
        assert y[row, positions].tolist() == labels.tolist()


@pytest.mark.parametrize("name", ["squad", "squadv1", "newsqa"])
def test_answers(name, golden, tokenizer, arrays, description):
    key = f"qa/{name}_train"
    examples = description["qa"][name]["examples"]["train"]
    kept = {example.get("id", example.get("qid")) for example in examples}
    columns = list(zip(*questions(golden, name), strict=True))
    preprocess = ElectraQuestionAnsweringPreprocessor(
        tokenizer, sequence_length=64, stride=24, max_question_length=16
    )
    ids, asked, contexts, answers = columns
    # The original leaves out what is an error here.
    for i, id in enumerate(ids):
        if id not in kept and answers[i] is not None:
            with pytest.raises(ValueError, match="must be in its context"):
                preprocess.rows(([asked[i]], [contexts[i]]), [answers[i]])
    use = [i for i, id in enumerate(ids) if id in kept]
    assert len(use) == len(examples)
    x, y = preprocess(
        ([asked[i] for i in use], [contexts[i] for i in use]),
        y=[answers[i] for i in use],
    )
    check_rows(x, arrays, key)
    for i, feature in enumerate(
        ("start_positions", "end_positions", "is_impossible")
    ):
        expected = arrays[f"{key}/{name}_{feature}"]
        np.testing.assert_array_equal(y[:, i], expected, err_msg=feature)
    np.testing.assert_array_equal(x["start_positions"], y[:, 0])
    assert (y[:, 0] > 0).any() and (y[:, 0] == 0).any()


def test_windows(golden, tokenizer, arrays, description):
    preprocess = ElectraQuestionAnsweringPreprocessor(
        tokenizer, sequence_length=64, stride=24, max_question_length=16
    )
    _, asked, contexts, _ = zip(*questions(golden, "squad"))
    documents, windows = preprocess.split(asked, contexts)
    flat = [window for some in windows for window in some]
    check_rows(preprocess.pack(flat), arrays, "qa/squad_dev")
    expected = description["qa"]["squad"]["dev_windows"]
    assert len(flat) == len(expected) == 107
    for window, theirs in zip(flat, expected):
        document = documents[window.example]
        assert window.example == theirs["eid"] // 1000
        assert window.offset == theirs["first_doc_position"]
        words = document.words[window.start : window.stop]
        assert words == theirs["token_to_orig"]
        best = "".join(str(int(flag)) for flag in window.best)
        assert best == theirs["is_max_context"]
        tokens = [tokenizer.id_to_token(id) for id in window.ids]
        assert tokens == theirs["tokens"]
        assert answer_positions(window, None) == (0, 0)
    for example, words in description["qa"]["squad"]["doc_tokens"].items():
        document = documents[int(example)]
        spans = document.word_spans
        assert [document.text[a:b] for a, b in spans] == words
