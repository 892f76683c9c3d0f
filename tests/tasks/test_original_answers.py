"""Answers from windows equal those of the original's post-processing."""

import numpy as np
import pytest

from keras_electra.tasks.answers import SCORES
from keras_electra.tasks.answers import best_score
from keras_electra.tasks.answers import best_threshold
from keras_electra.tasks.answers import rank_answers
from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.text.tokenizer import ElectraTokenizer
from tests import recorded
from tests.tasks.original_questions import questions
from tests.tasks.original_rules import align
from tests.tasks.original_rules import original_texts

ALIGNMENT = "get_final_text"
EXPECTED = recorded.read_json("qa_postprocess.json")
SETTINGS = [name for name in EXPECTED if name != ALIGNMENT]
# At which the original's metrics were taken (README of the recorded numbers).
THRESHOLD = -2.75
JOINT = (
    "start_top_log_probs",
    "start_top_index",
    "end_top_log_probs",
    "end_top_index",
)


def official_metrics(setting):
    return EXPECTED[setting].get("official_metrics", {})


@pytest.fixture(scope="module")
def arrays():
    return recorded.read_arrays("qa_postprocess_logits.npz")


@pytest.fixture(scope="module")
def tokenizer(golden):
    return ElectraTokenizer(
        str(golden / "vocab.txt"), **recorded.tokenizer_settings()
    )


def ranked(arrays, golden, tokenizer, setting, read=None):
    """Our answers by the question's name, with their document."""
    expected, task = EXPECTED[setting], setting.split("_")[0]
    names = ["start_logits", "end_logits"]
    if expected["joint_prediction"]:
        names += JOINT
    if expected["answerable_classifier"]:
        names.append("answerable_logit")
    rows = {eid: i for i, eid in enumerate(arrays[f"{task}/eid"].tolist())}
    ids, asked, contexts, _ = zip(*questions(golden, task))
    if task == "squadv1":
        # Recorded for those alone that were kept for training, too.
        assert set(ids) >= set(expected["predictions"])
    preprocess = ElectraQuestionAnsweringPreprocessor(
        tokenizer, **recorded.question_settings(task)
    )
    documents, windows = preprocess.split(asked, contexts)
    for i, (id, document, some) in enumerate(zip(ids, documents, windows)):
        outputs = [
            {
                name: arrays[f"{task}/{name}"][rows[1000 * i + j]]
                for name in names
            }
            for j in range(len(some))
        ]
        yield (
            id,
            document,
            rank_answers(
                read(document, tokenizer) if read else document,
                some,
                outputs,
                n_best=expected["n_best_size"],
                max_length=expected["max_answer_length"],
            ),
        )


@pytest.mark.parametrize("setting", SETTINGS)
def test_post_processing(setting, arrays, golden, tokenizer):
    expected = EXPECTED[setting]
    rule = original_texts
    seen = set()
    for id, _, answers in ranked(arrays, golden, tokenizer, setting, rule):
        seen.add(id)
        assert answers.text == expected["predictions"][id]
        assert len(answers.n_best) == expected["nbest_count"][id]
        for ours, theirs in zip(answers.n_best, expected["nbest"][id]):
            assert ours.text == theirs["text"]
            for name in ("probability", "start_logit", "end_logit"):
                value = getattr(ours, name)
                assert value == pytest.approx(theirs[name], abs=1e-5)
        if "null_odds" in expected:
            assert answers.null_score == pytest.approx(
                expected["null_odds"][id], abs=1e-5
            )
    assert seen == set(expected["predictions"])


@pytest.mark.parametrize(
    "setting",
    [name for name in SETTINGS if "best_f1" in official_metrics(name)],
)
def test_thresholds_and_scores(setting, arrays, golden, tokenizer):
    rule = original_texts
    results = {
        id: answers
        for id, _, answers in ranked(arrays, golden, tokenizer, setting, rule)
    }
    task = setting.split("_")[0]
    entries = recorded.read_json(f"finetune_raw/{task}.json")
    golds = {
        qa["id"]: [answer["text"] for answer in qa["answers"]]
        for entry in entries["data"]
        for paragraph in entry["paragraphs"]
        for qa in paragraph["qas"]
    }
    official = official_metrics(setting)
    has_answer = [bool(golds[id]) for id in results]
    odds = [answers.null_score for answers in results.values()]
    for name in ("exact", "f1"):
        scores = [
            best_score(SCORES[name], answers.text, golds[id])
            for id, answers in results.items()
        ]
        best, threshold = best_threshold(
            odds, scores, has_answer, [a.text for a in results.values()]
        )
        assert 100 * best == pytest.approx(official[f"best_{name}"])
        assert threshold == pytest.approx(official[f"best_{name}_thresh"])
        # At the original's threshold.
        kept = [
            best_score(
                SCORES[name],
                "" if answers.null_score > THRESHOLD else answers.text,
                golds[id],
            )
            for id, answers in results.items()
        ]
        assert 100 * np.mean(kept) == pytest.approx(official[name])


def test_texts_are_cut_from_the_document(arrays, golden, tokenizer):
    """By default a text is exactly its place, and mostly the original's."""
    same = total = 0
    for setting in SETTINGS:
        expected = EXPECTED[setting]["nbest"]
        for id, document, answers in ranked(arrays, golden, tokenizer, setting):
            for answer in answers.n_best:
                part = document.text[answer.start : answer.end]
                assert part == answer.text and part
            theirs = [entry["text"] for entry in expected[id]]
            ours = [answer.text for answer in answers.n_best][: len(theirs)]
            same += sum(a == b for a, b in zip(ours, theirs))
            total += len(theirs)
    print(f"  {same} of {total} texts are the original's")
    assert same > 0.9 * total


@pytest.mark.golden
def test_alignment():
    cases = EXPECTED[ALIGNMENT]
    assert cases
    for case in cases:
        for key, lowercase in (("lower", True), ("cased", False)):
            text = align(case["pred_text"], case["orig_text"], lowercase)
            assert text == case[key], case
