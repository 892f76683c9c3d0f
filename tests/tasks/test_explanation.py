import html
import html.parser
import types

import keras
import numpy as np
import pytest
from keras import ops

import tests.tasks.test_question_answering as test_question_answering
import tests.tasks.test_replaced_token_detector as test_replaced_token_detector
import tests.tasks.test_text_classifier as test_text_classifier
from keras_electra.tasks import explanation
from keras_electra.tasks.explanation import Explanation
from tests import checks

not_on_jax = pytest.mark.skipif(
    keras.config.backend() == "jax",
    reason="It compiles every operation; gradients are tested there.",
)
METHODS = ["integrated_gradients", "leave_out"]
HOSTILE = [
    "<script>alert('x')</script> & \"quoted\" </p>",
    "\x1b[31mred\x07\r\u202egnp.exe \ud800",
    "\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628\u064a",
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d\n\ttwo lines",
    "long " * 5000,
]


class Reader(html.parser.HTMLParser):
    """The text of paragraphs, and all elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_cannot_do_anything(text, tmp_path, monkeypatch):
    spans = [(i, i + 3, (-1) ** i * 0.9) for i in range(0, 12, 4)]
    found = Explanation(text[:9], [text], [spans])
    found.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    reader = Reader(page)
    assert reader.tags <= set("html head meta title body h3 p span".split())
    assert "://" not in page and 'dir="auto"' in page
    shown = text if text.isprintable() or "two" in text else None
    if shown:  # nothing is lost
        assert shown in reader.text
    for unsafe in "\x1b\x07\r\u202e\ud800":
        assert unsafe not in page and unsafe not in str(found)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert str(found).count("\x1b[30;48;2;") == 3
    assert str(found).count("\x1b") == 6  # each is ended
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(found) and f" {0.9:.2f}]" in str(found)


def toy(weights):
    """A linear network over the sum of its embeddings."""
    tokenizer = checks.tiny_tokenizer()
    table = np.random.default_rng(0).normal(size=(13, 4)).astype("float32")
    table[0] = 0.0  # padding

    def head(x):
        return ops.matmul(ops.sum(x, axis=1), weights)

    def embeddings(ids, segments):
        return ops.take(ops.convert_to_tensor(table), ids, axis=0)

    return types.SimpleNamespace(
        preprocessor=types.SimpleNamespace(tokenizer=tokenizer),
        backbone=types.SimpleNamespace(
            embeddings=embeddings,
            embeddings_projection=None,
            transformer_layers=[],
        ),
        head_of=head,
        calibrated=lambda logits: logits,
        is_exclusive=False,
        predict_rows=lambda rows: ops.convert_to_numpy(
            head(embeddings(ops.convert_to_tensor(rows["token_ids"]), None))
        ),
    ), table @ weights


@pytest.mark.parametrize("method", METHODS)
def test_contributions_of_a_linear_network_are_complete(method):
    weights = np.random.default_rng(1).normal(size=(4, 2)).astype("float32")
    task, scores = toy(weights)
    text = "the chef cooked  a meal"
    row = checks.ids([2, 5, 6, 7, 8, 12, 10, 3])
    tokens, value, baseline = explanation.contributions(
        task, [text], row, 1, method
    )
    words = [text[token[0] : token[1]] for token in tokens[0]]
    assert words == ["the", "chef", "cooked", "a", "meal"]
    found = [token[2] for token in tokens[0]]
    mask = 4 if method == METHODS[0] else 0  # in place of it, or nothing
    expected = [
        sum(scores[i, 1] - scores[mask, 1] for i in word)
        for word in ([5], [6], [7, 8], [12], [10])
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert sum(found) == pytest.approx(value - baseline, abs=1e-4)


@pytest.fixture(scope="module")
def task():
    task = test_text_classifier.build(
        labels=["bad", "good"], head="transformers"
    )
    task.calibration = {"method": "temperature", "scale": [0.5], "bias": [0.0]}
    return task


def values(explanation):
    return [token[2] for tokens in explanation.tokens for token in tokens]


def test_integrated_gradients_add_up(task):
    text = "The chef cooked."
    found = task.explain(text, label="good")
    logits = np.array(task.predict([text], verbose=0)[0]) / 2
    assert found.value == pytest.approx(logits[1] - logits[0], abs=1e-4)
    other = task.explain(text, label="bad")
    assert values(other) == pytest.approx([-v for v in values(found)], abs=1e-4)
    assert found.title.startswith("good (0.")
    pair = task.explain(("the chef", "ate a meal. the chef"))
    assert [len(tokens) for tokens in pair.tokens] == [2, 3]  # it is cut
    for one in (found, pair):
        difference = one.value - one.baseline
        assert sum(values(one)) == pytest.approx(difference, abs=1e-3)


def test_leaving_words_out(task):
    found = task.explain("the chef ate", label="good", method="leave_out")
    texts = ["chef ate", "the ate", "the chef"]
    bad, good = task.predict(texts, verbose=0).T / 2
    expected = found.value - (good - bad)
    assert values(found) == pytest.approx(expected, abs=1e-4)


@not_on_jax
def test_attention_is_what_the_network_computes(task):
    tokens, weights = task.explain("the chef ate", attention=True).attention
    assert tokens == ["[CLS]", "the", "chef", "ate", "[SEP]"]
    assert weights.shape == (1, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)
    row = {
        n: ops.convert_to_tensor(a)
        for n, a in checks.ids([2, 5, 6, 9, 3]).items()
    }
    x = task.backbone.embeddings(row["token_ids"], row["segment_ids"])
    x = task.backbone.embeddings_projection(x)
    layer = task.backbone.transformer_layers[0].attention
    qkv = ops.convert_to_numpy(layer.query_key_value(x))[0, :5]
    value = qkv.reshape(5, 3, 2, 4)[:, 2]  # (L, N, H)
    read = np.einsum("nij,jnh->inh", weights[0], value).reshape(5, 8)
    expected = ops.convert_to_numpy(layer(x, row["padding_mask"]))[0, :5]
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.output_dense(read)), expected, atol=1e-5
    )


@not_on_jax
def test_tokens_and_answers():
    detector = test_replaced_token_detector.build()
    text = "the chef ate a meal the chef ate a meal"
    found = detector.explain(text, attention=True)
    assert found.tokens == [[t[1:] for t in detector.detect(text)]]
    assert len(found.attention[0]) == 8  # of the first window
    assert "<svg" in found._repr_html_()
    reader = test_question_answering.build()
    context = "the chef ate a meal"
    found = reader.explain("the chef", context)
    best = reader.answer("the chef", context).n_best
    for start, end, p in found.tokens[0]:
        over = [a.probability for a in best if a.start <= start < a.end]
        assert p == pytest.approx(sum(over))


@not_on_jax
def test_half_precision():
    half = test_text_classifier.build("mixed_float16")
    found = half.explain("the chef ate")
    assert np.all(np.isfinite(values(found)))
    assert sum(values(found)) == pytest.approx(
        found.value - found.baseline, abs=0.05
    )


def test_errors(task):
    with pytest.raises(ValueError, match="`method` must be one of"):
        task.explain("the", method="gradients")
    with pytest.raises(TypeError, match="takes one string"):
        task.explain(["the", "chef"])
    with pytest.raises(ValueError, match="Label 0 is 'great'"):
        task.explain("the", label="great")
