"""Answers as stretches of a text, or none."""

import typing
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.tasks import answers as ranking
from keras_electra.tasks import explanation
from keras_electra.tasks import qa_windows
from keras_electra.tasks import span_heads
from keras_electra.tasks.calibration import LEAST_SCALE
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.task import ElectraTask


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraQuestionAnswering(Calibrates, ElectraTask, keras_hub.models.Task):
    """Finds the answer to a question in a text, or that it has none.

    For inputs and labels see `ElectraQuestionAnsweringPreprocessor`. Outputs
    are float32: `start_logits`, `end_logits` and, of the simple head, an
    `answer_mask`, `(batch, length)`; the beams of `JointSpanHead`; with
    `answerability` an `answerable_logit` `(batch,)`, positive for no answer.
    The joint head's ends belong to `start_positions` `(batch,)`, if given.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        head: string. `"joint"` is the original's, which scores the end given
            the start; `"simple"`, that of transformers, scores them apart.
        answerability: what tells that there is no answer: `"span"`, a layer on
            `[CLS]` and the expected start (default of `"joint"`);
            `"first_token"`, one on `[CLS]`; or `None`, the scores of `[CLS]`.
        beam_size: int. Starts followed up by the joint head.
        null_threshold: float, or `None` for never. Null score above which
            `answer` gives an empty text; see `tune_null_threshold`.

    ```python
    reader = ElectraQuestionAnswering.from_preset("electra_tiny_en")
    reader.fit((questions, contexts), answers, batch_size=32, epochs=2)
    reader.answer("Who sleeps?", "A bee sleeps in winter.").text  # "A bee"
    ```
    """

    preprocessor_cls = qa_windows.ElectraQuestionAnsweringPreprocessor
    token_outputs = True
    calibration_methods = ("temperature",)
    names = inputs.Names((("question", "context"),), ("answers", "answer"))

    def __init__(
        self,
        backbone: keras.Model,
        preprocessor: keras.Layer | None = None,
        head: str = "joint",
        answerability: str = "auto",
        beam_size: int = 20,
        null_threshold: float = 0.0,
        calibration: dict[str, object] | None = None,
        **kwargs: object,
    ) -> None:
        check_option("head", head, ("joint", "simple"))
        if answerability == "auto":
            answerability = "span" if head == "joint" else None
        options = ("span", "first_token", None)
        check_option("answerability", answerability, options)
        check_count("beam_size", beam_size)
        self.keep_arguments(locals())
        fields = dict(backbone.input)
        mask = span_heads.answer_mask(**fields)
        x = backbone(fields)["sequence_output"]  # (B, L, D)
        options = {"dtype": backbone.dtype_policy, "name": "span_head"}
        if head == "joint":
            starts = keras.Input((), dtype="int32", name="start_positions")
            fields["start_positions"] = starts
            self.span_head = span_heads.JointSpanHead(beam_size, **options)
            outputs = self.span_head(x, mask, starts)  # with masked logits
            self.padded_output = span_heads.MASKED_SCORE
        else:
            self.span_head = span_heads.SimpleSpanHead(**options)
            outputs = {**self.span_head(x), "answer_mask": mask}
        if answerability is not None:
            options["name"] = "answerability_head"
            self.answerability_head = span_heads.AnswerabilityHead(
                answerability == "span", **options
            )
            logits, _ = span_heads.masked_logits(outputs)
            outputs["answerable_logit"] = self.answerability_head(x, logits)
        super().__init__(inputs=fields, outputs=outputs, **kwargs)
        self.span_accuracy = keras.metrics.Mean(name="span_accuracy")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self._complete(inputs), *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(self._complete(inputs), training, mask)

    def _complete(self, inputs):
        """With `start_positions`; for the simple head without them."""
        if not isinstance(inputs, dict):
            return inputs
        # Of the kind of the others, which may be NumPy's or symbolic.
        unknown = inputs["token_ids"][:, 0] * 0 - 1
        inputs = {"start_positions": unknown, **inputs}
        return {name: inputs[name] for name in self.input}

    def compile(self, optimizer="auto", loss="auto", **kwargs):
        for name in ("metrics", "weighted_metrics"):
            if kwargs.get(name) not in (None, "auto", []):
                raise ValueError(
                    f"`{name}` must be left out: starts and ends are judged "
                    f"together, as `span_accuracy`. Received: {kwargs[name]!r}."
                )
        super().compile(optimizer, loss, **kwargs)

    def default_loss(self) -> keras.losses.Loss:
        return span_heads.SpanLoss()

    def default_metrics(self) -> list[keras.metrics.Metric] | None:
        return None

    def loss_of_rows(self, x, y, y_pred, sample_weight):
        return self.loss(y, y_pred, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Whether start and end both have the highest scores.
        logits = ops.stack(span_heads.masked_logits(y_pred), axis=1)
        right = ops.equal(ops.argmax(logits, axis=-1), y[:, :2])  # (B, 2)
        self.span_accuracy.update_state(ops.all(right, axis=-1), sample_weight)
        return self.get_metrics_result()

    def test_step(self, *args: object) -> object:
        self.span_head.has_beams = False  # neither loss nor metric needs them
        try:
            return super().test_step(*args)
        finally:
            self.span_head.has_beams = True

    def check_inputs(self, x: object) -> None:
        qa_windows.to_questions(x)

    def encode_labels(self, x: object, y: object) -> object:
        return qa_windows.to_answers(y)

    def answer(
        self,
        questions: object,
        contexts: object = None,
        n_best: int = 20,
        max_answer_length: int = 30,
        batch_size: int = 32,
        abstain_below: float = 0.0,
    ) -> typing.Any:
        """`Answers` to a question about a text, or a list for several.

        Takes strings, columns of strings, or as `questions` alone what `fit`
        takes. Answers have at most `max_answer_length` tokens. The text is
        empty where none is as probable as `abstain_below`.
        """
        x = questions if contexts is None else (questions, contexts)
        x, is_one = self.read_inputs(x, "answer", None, abstain_below)
        documents, windows = self.preprocessor.split(*x)
        rows = self.preprocessor.pack(windows)
        outputs = iter(self.predict_rows(rows, batch_size))
        limits = (n_best, max_answer_length, self.null_threshold)
        results = [  # each from the next outputs, one a window
            ranking.rank_answers(*pair, outputs, *limits)
            for pair in zip(documents, windows)
        ]
        results = [self._calibrate(one, abstain_below) for one in results]
        return results[0] if is_one else results

    def _calibrate(self, found, abstain_below):
        """`Answers` with calibrated probabilities, if sure with its text."""
        p = np.array([answer.probability for answer in found.n_best])
        p = p ** (self.calibration or {"scale": 1.0})["scale"]
        p = (p / (p.sum() or 1.0)).tolist()
        best = [a._replace(probability=q) for a, q in zip(found.n_best, p)]
        is_sure = max(p, default=0.0) >= abstain_below
        return found._replace(n_best=best, text=found.text if is_sure else "")

    def explain(self, question, context, attention=False):
        """An `Explanation` of a context; `attention` adds that of all heads."""
        x, _ = explanation.read_one(self, (question, context))
        found, shares = self.answer(question, context), np.zeros(len(context))
        for answer in found.n_best:
            shares[answer.start : answer.end] += answer.probability
        _, [spans] = self.preprocessor.tokenizer.encode_with_offsets([context])
        tokens = [(a, b, float(shares[a])) for a, b in spans if a < b]
        title = f"{question} {found.text or 'No answer.'}"
        attention = attention and explanation.attention_by_head(self, x)
        given = title, [context], [tokens], attention
        return explanation.Explanation(*given)

    def _judge(self, x, y, batch_size):
        """Padded scores of the best answers, and whether the first is right."""
        x, y, _ = self._read(x, y)
        found = self.answer(x, batch_size=batch_size)
        golds = [gold[0] if gold else "" for gold in qa_windows.to_answers(y)]
        best = [answers.best_text for answers in found]
        scores = keras.utils.pad_sequences(
            [[a.start_logit + a.end_logit for a in f.n_best] for f in found],
            *(None, "float64", "post", "post", -1e4),
        )
        return scores, np.array(list(map(ranking.exact_match, best, golds)))

    def _fit_scale(self, scores, right, method):
        scales = np.geomspace(LEAST_SCALE, 10, 500)
        p = np.array([softmax(scale * scores)[:, 0] for scale in scales])
        loss = -np.log(np.where(right, p, 1 - p) + 1e-6).sum(axis=-1)
        return scales[loss.argmin()], 0.0

    def _decide(self, scores, right):
        p = softmax(ops.convert_to_numpy(self.calibrated(scores)))[:, 0]
        return p, right, (p - right) ** 2

    @known_keywords(answer)
    def tune_null_threshold(
        self, questions, contexts, answers, metric="f1", **kwargs
    ):
        """Sets `null_threshold` to what is best on a development set.

        `answers` is a column of lists of right answers, empty for none,
        `metric` `"f1"` or `"exact"`; the others are those of `answer`.
        Returns the mean of the metric, 0.0 to 1.0, and the threshold.
        """
        check_option("metric", metric, ranking.SCORES)
        answers = inputs.to_column(answers)
        len(inputs.Examples(questions, answers))  # raises if they differ
        results = self.answer(questions, contexts, **kwargs)
        texts, score = [r.best_text for r in results], ranking.SCORES[metric]
        scores = [ranking.best_score(score, *p) for p in zip(texts, answers)]
        nulls, has_answer = [r.null_score for r in results], map(bool, answers)
        found = ranking.best_threshold(nulls, scores, [*has_answer], texts)
        self.null_threshold = found[1]
        return found
