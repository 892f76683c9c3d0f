"""Features of the fine-tuning tasks equal those of the original program."""

import numpy as np
import pytest

from keras_electra.data.rows import trim_pair
from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.tasks.token_classifier import (
    ElectraTokenClassifierPreprocessor,
)
from keras_electra.text.tokenizer import ElectraTokenizer
from tests import recorded
from tests.tasks.original_questions import questions
from tests.tasks.original_rules import original_rows
from tests.tasks.original_rules import words_of

NAMES = {
    "token_ids": "input_ids",
    "segment_ids": "segment_ids",
    "padding_mask": "input_mask",
}
EXPECTED = recorded.read_json("finetune_features.json")
CLASSIFICATION, TAGGING, QUESTIONS = (
    EXPECTED[kind] for kind in ("classification", "tagging", "qa")
)


@pytest.fixture(scope="module")
def tokenizer(golden):
    return ElectraTokenizer(
        str(golden / "vocab.txt"), **recorded.tokenizer_settings()
    )


@pytest.fixture(scope="module")
def arrays():
    return recorded.read_arrays("finetune_features.npz")


def task_of(key):
    """The task of a set: `chunk` of `tagging/chunk_train`."""
    return key.split("/")[1].rsplit("_", 1)[0]


def check_rows(x, arrays, key, rows=slice(None)):
    for ours, theirs in NAMES.items():
        expected = arrays[f"{key}/{theirs}"][rows]
        np.testing.assert_array_equal(x[ours], expected, err_msg=ours)


@pytest.mark.parametrize("key", CLASSIFICATION["sets"])
def test_texts_and_pairs(key, tokenizer, arrays):
    examples = CLASSIFICATION["sets"][key]["examples"]
    preprocess = ElectraTextClassifierPreprocessor(
        tokenizer, sequence_length=CLASSIFICATION["max_seq_length"]
    )
    x = [example["text_a"] for example in examples]
    if examples[0]["text_b"] is not None:
        x = (x, [example["text_b"] for example in examples])
    check_rows(preprocess(x, y=None), arrays, key)


@pytest.mark.golden
def test_pairs_are_cut_where_they_are_longer():
    table = CLASSIFICATION["truncate_pair_len_a_len_b_max_to_len_a_len_b"]
    assert table
    for first, second, room, *expected in table:
        pair = trim_pair(list(range(first)), list(range(second)), room)
        assert [len(part) for part in pair] == expected
        assert pair == (list(range(expected[0])), list(range(expected[1])))


@pytest.mark.parametrize("key", TAGGING["sets"])
def test_words(key, tokenizer, arrays):
    length = TAGGING["max_seq_length"]
    sentences = TAGGING["sets"][key]["sentences"]
    words = [words for words, _ in sentences]
    preprocess = ElectraTokenClassifierPreprocessor(
        tokenizer, sequence_length=length, segment_id=1
    )
    # Words are words: no character is one for itself.
    rows = original_rows(words, preprocess.word_tokenizer, length)
    check_rows(preprocess.pack(rows, length), arrays, key)
    numbers = TAGGING["label_mapping"]
    tags = TAGGING["sets"][key]["bioes"]
    for i, row in enumerate(rows):
        count = len(row.positions)
        positions = np.zeros(length, int)
        positions[:count] = row.positions
        mask = np.arange(length) < count
        labels = np.zeros(length, int)
        labels[: len(tags[i])] = [numbers[tag] for tag in tags[i]]
        for name, ours in (
            ("labeled_positions", positions),
            ("labels_mask", mask),
            ("labels", labels),
        ):
            theirs = arrays[f"{key}/{task_of(key)}_{name}"][i]
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("key", TAGGING["sets"])
def test_words_of_sound_sentences(key, tokenizer, arrays):
    """Without the rules that lose words the rest is the same."""
    numbers, tags = TAGGING["label_mapping"], TAGGING["sets"][key]["bioes"]
    sentences = [words for words, _ in TAGGING["sets"][key]["sentences"]]
    recorded_there = {
        name: arrays[f"{key}/{task_of(key)}_{name}"]
        for name in ("labels", "labels_mask", "labeled_positions")
    }
    counts = recorded_there["labels_mask"].sum(axis=1).astype(int)
    # Not: a word without pieces, a long sentence, a word "[SEP]".
    sound = [
        i
        for i, words in enumerate(sentences)
        if counts[i] == len(words)
        and all(tokenizer.encode_batch(words))
        and not {"[CLS]", "[SEP]"} & set(words)
    ]
    assert sound
    preprocess = ElectraTokenClassifierPreprocessor(
        tokenizer, sequence_length=TAGGING["max_seq_length"], segment_id=1
    )
    x, y, weights = preprocess(
        [sentences[i] for i in sound],
        [[numbers[tag] for tag in tags[i]] for i in sound],
    )
    check_rows(x, arrays, key, sound)
    for row, i in enumerate(sound):
        count = counts[i]
        assert weights[row].sum() == count
        positions = recorded_there["labeled_positions"][i][:count]
        assert np.flatnonzero(weights[row]).tolist() == positions.tolist()
        labels = recorded_there["labels"][i][:count]
        assert y[row, positions].tolist() == labels.tolist()


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers(name, golden, tokenizer, arrays):
    key = f"qa/{name}_train"
    examples = QUESTIONS[name]["examples"]["train"]
    kept = {example.get("id", example.get("qid")) for example in examples}
    columns = list(zip(*questions(golden, name), strict=True))
    preprocess = ElectraQuestionAnsweringPreprocessor(
        tokenizer, **recorded.question_settings(name)
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


@pytest.mark.parametrize(
    "name", [name for name in QUESTIONS if "dev_windows" in QUESTIONS[name]]
)
def test_windows(name, golden, tokenizer, arrays):
    preprocess = ElectraQuestionAnsweringPreprocessor(
        tokenizer, **recorded.question_settings(name)
    )
    _, asked, contexts, _ = zip(*questions(golden, name))
    documents, windows = preprocess.split(asked, contexts)
    flat = [(i, window) for i, some in enumerate(windows) for window in some]
    length = preprocess.sequence_length
    check_rows(preprocess.pack(windows, length), arrays, f"qa/{name}_dev")
    expected = QUESTIONS[name]["dev_windows"]
    assert len(flat) == len(expected)
    for (number, window), theirs in zip(flat, expected):
        assert number == theirs["eid"] // 1000
        assert window.offset == theirs["first_doc_position"]
        _, words = words_of(documents[number])
        part = slice(window.start, window.start + len(window.best))
        assert words[part] == theirs["token_to_orig"]
        best = "".join(str(int(flag)) for flag in window.best)
        assert best == theirs["is_max_context"]
        tokens = [tokenizer.id_to_token(id) for id in window.ids]
        assert tokens == theirs["tokens"]
        assert window.places(None) == (0, 0)
    for example, words in QUESTIONS[name]["doc_tokens"].items():
        document = documents[int(example)]
        spans, _ = words_of(document)
        assert [document.text[a:b] for a, b in spans] == words
