import gc

import keras
import numpy as np
import pytest

from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.tasks.question_answering import ElectraQuestionAnswering
from tests import checks

X = checks.ids([2, 5, 3, 6, 7, 3], [2, 12, 3, 10, 3])
X["segment_ids"][:, 3:6] = X["padding_mask"][:, 3:6]
QUESTIONS = ["chef", "meal"]
CONTEXTS = ["the chef cooked a meal . the chef ate", "a meal ."]
ANSWERS = ["a meal", None]


def build(dtype="float32", head="joint", **kwargs):
    return ElectraQuestionAnswering(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraQuestionAnsweringPreprocessor(
            checks.tiny_tokenizer(), sequence_length=10, stride=4
        ),
        head=head,
        beam_size=3,
        **kwargs,
    )


@pytest.fixture(scope="module", params=["joint", "simple"])
def trained(request):
    keras.utils.set_random_seed(0)
    task = build(head=request.param)
    checks.compile_quickly(task, optimizer=keras.optimizers.Adam(0.02))
    # Many times over, as epochs cost more than steps.
    x = (QUESTIONS * 40, CONTEXTS * 40)
    task.fit(x, ANSWERS * 40, batch_size=6, epochs=4, shuffle=False, verbose=0)
    return task


def test_learns_and_answers(trained):
    results = trained.evaluate(
        (QUESTIONS, CONTEXTS), ANSWERS, verbose=0, return_dict=True
    )
    assert results["span_accuracy"] == 1.0
    first, second = trained.answer(QUESTIONS, CONTEXTS, n_best=2)
    assert first.text == "a meal" and second.text == ""
    best = first.n_best[0]
    assert (best.start, best.end) == (16, 22)
    assert 1 <= len(first.n_best) <= 2
    assert first.null_score < 0 < second.null_score
    again = trained.answer(QUESTIONS[0], CONTEXTS[0], batch_size=1)
    assert again.text == "a meal"
    assert again.null_score == pytest.approx(first.null_score, abs=1e-4)


def test_threshold_of_a_development_set(trained):
    before = trained.null_threshold
    score, threshold = trained.tune_null_threshold(
        QUESTIONS, CONTEXTS, [["meal", "a meal"], []], metric="exact"
    )
    assert score == 1.0 and threshold == trained.null_threshold < 0
    trained.null_threshold = None
    assert trained.answer(QUESTIONS[1], CONTEXTS[1]).text != ""
    score, _ = trained.tune_null_threshold(QUESTIONS, CONTEXTS, [[], []])
    assert score == 1.0
    assert [a.text for a in trained.answer(QUESTIONS, CONTEXTS)] == ["", ""]
    trained.null_threshold = before
    with pytest.raises(ValueError, match="`metric` must be one of"):
        trained.tune_null_threshold(QUESTIONS, CONTEXTS, [[], []], "em")
    with pytest.raises(ValueError, match="different lengths"):
        trained.tune_null_threshold(QUESTIONS, CONTEXTS, [[]])
    with pytest.raises(TypeError, match="as strings"):
        trained.tune_null_threshold(QUESTIONS, ["", None], [[], []])
    assert trained.null_threshold == before


def test_errors(trained):
    x = (QUESTIONS, CONTEXTS)
    with pytest.raises(ValueError, match="'cheese', is not in it"):
        trained.fit(x, ["cheese", None])
    with pytest.raises(ValueError, match="question 'meal', 'meal'.*start=5"):
        trained.fit(x, [None, ("meal", 5)])
    with pytest.raises(TypeError, match="tuple of two lists"):
        trained.fit(QUESTIONS, ANSWERS)
    with pytest.raises(TypeError, match="list of strings"):
        trained.answer(QUESTIONS, 3)


def test_arguments():
    backbone = checks.tiny_backbone()
    with pytest.raises(ValueError, match="`metrics` must be left out"):
        ElectraQuestionAnswering(backbone).compile(metrics=["accuracy"])
    with pytest.raises(ValueError, match="`head` must be one of"):
        ElectraQuestionAnswering(backbone, head="pooled")
    with pytest.raises(ValueError, match="`answerability` must be one of"):
        ElectraQuestionAnswering(backbone, answerability="yes")
    with pytest.raises(ValueError, match="answer.*preprocessor"):
        ElectraQuestionAnswering(backbone).answer("a", "b")


def outputs_of(task, x):
    """Scores of the ends, by the compiled network."""
    x = {k: keras.ops.convert_to_tensor(array) for k, array in x.items()}
    outputs = keras.Model.predict_on_batch(task, x)
    return np.asarray(outputs["end_logits"], "float32")


def test_saving(trained, tmp_path):
    checks.check_config(trained)
    trained.null_threshold = 0.5
    trained.save_to_preset(tmp_path / "preset")
    keras.utils.set_random_seed(1)
    opened = ElectraQuestionAnswering.from_preset(str(tmp_path / "preset"))
    trained.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    for other in (opened, loaded):
        assert other.head == trained.head and other.null_threshold == 0.5
        np.testing.assert_allclose(
            outputs_of(trained, X), outputs_of(other, X), rtol=1e-4, atol=1e-3
        )
    trained.null_threshold = 0.0


@pytest.mark.parametrize(
    "policy, head", zip(checks.PRECISIONS, ["joint", "simple"])
)
def test_precisions(policy, head):
    task = build(policy, head)
    assert {w.dtype for w in task.trainable_weights} == {"float32"}
    checks.compile_eagerly(task)
    x = (QUESTIONS, CONTEXTS)
    history = task.fit(x, ANSWERS, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0])
    logits = outputs_of(task, X)
    assert logits.shape == (2, 8) and np.all(np.isfinite(logits))


def test_lora_and_quantization():
    task = build()
    before = outputs_of(task, X)
    gc.freeze()  # Keras collects garbage for every weight
    task.quantize("int8")
    allowed = before > -500
    assert np.abs(outputs_of(task, X) - before)[allowed].max() < 0.5
    checks.check_lora(build(head="simple"))


def preprocessor(**kwargs):
    config = {"sequence_length": 8, "stride": 2, **kwargs}
    return ElectraQuestionAnsweringPreprocessor(
        checks.tiny_tokenizer(), **config
    )


def test_rows_of_windows():
    x, y = preprocessor()((["chef"], ["the chef ate a meal"]), y=["a meal"])
    assert x["token_ids"].tolist() == [
        [2, 6, 3, 5, 6, 9, 12, 3],
        [2, 6, 3, 9, 12, 10, 3, 0],
    ]
    assert x["segment_ids"].tolist() == [
        [0, 0, 0, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1, 0],
    ]
    assert y.tolist() == [[0, 0, 0], [4, 5, 0]]
    assert x["start_positions"].tolist() == [0, 4]


def test_weights_and_no_answer():
    x = (["chef", "a"], ["the chef ate a meal", "the"])
    x, y, weights = preprocessor()(x, [None, "the"], [0.5, 1.0])
    assert y.tolist() == [[0, 0, 1], [0, 0, 1], [3, 3, 0]]
    assert weights.tolist() == [0.5, 0.5, 1.0]


def test_long_questions_are_cut():
    x = preprocessor(max_question_length=2)((["the chef ate"], ["a"]), y=None)
    assert x["token_ids"].tolist() == [[2, 5, 6, 3, 12, 3, 0, 0]]


def test_config_of_preprocessor():
    preprocess = preprocessor(max_question_length=2)
    again = ElectraQuestionAnsweringPreprocessor.from_config(
        preprocess.get_config()
    )
    assert again.sequence_length == preprocess.sequence_length
    assert (again.stride, again.max_question_length) == (2, 2)


@pytest.mark.parametrize("name", ["stride", "max_question_length"])
def test_errors_of_preprocessor(name):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
        preprocessor(**{name: 0})
    with pytest.raises(ValueError, match="leave room for the document"):
        preprocessor().rows((["the chef ate a meal"], ["a"]))
