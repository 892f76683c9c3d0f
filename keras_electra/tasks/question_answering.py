"""Answers as stretches of a text, or none."""

import keras
import keras_hub

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks.answers import SCORES
from keras_electra.tasks.answers import best_score
from keras_electra.tasks.answers import best_threshold
from keras_electra.tasks.answers import rank_answers
from keras_electra.tasks.answers import to_answers
from keras_electra.tasks.answers import to_questions
from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.tasks.span_heads import MASKED_SCORE
from keras_electra.tasks.span_heads import AnswerabilityHead
from keras_electra.tasks.span_heads import JointSpanHead
from keras_electra.tasks.span_heads import SimpleSpanHead
from keras_electra.tasks.span_heads import SpanLoss
from keras_electra.tasks.span_heads import masked_logits
from keras_electra.tasks.span_heads import spans_are_right
from keras_electra.tasks.task import ElectraTask


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraQuestionAnswering(
    ElectraTask, SavesPresets, keras_hub.models.Task
):
    """Finds the answer to a question in a text, or that it has none.

    `fit`, `evaluate` and `predict` take a tuple of two lists of strings,
    `(questions, contexts)`; answers are described at
    `ElectraQuestionAnsweringPreprocessor`. Long contexts are read in windows.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        head: string. `"joint"`, the default, is the original's, which scores
            the end given the start; `"simple"` is that of transformers'
            package, which scores them apart.
        answerability: string or `None`. What tells that there is no answer:
            `"span"`, a layer on `[CLS]` and the expected start, the
            original's; `"first_token"`, a layer on `[CLS]` alone; `None`, the
            scores of `[CLS]` as start and end. Defaults to `"span"` with the
            joint head, to `None` with the simple one.
        beam_size: int. Starts followed up by the joint head. Defaults to
            `20`, the original's.
        null_threshold: float or `None`. Null score above which `answer` gives
            an empty text; see `tune_null_threshold`. `None` means never.
            Defaults to `0.0`.

    Call arguments:
        A dict of rows; also `start_positions` of shape `(batch,)`, if the
        joint head shall score the ends that belong to these starts.

    Returns:
        A dict of float32 arrays: `start_logits` and `end_logits` of shape
        `(batch, length)`; from the joint head its beams, see `JointSpanHead`;
        with `answerability` an `answerable_logit` of shape `(batch,)`,
        positive for no answer, as the original has it.

    Example:
    ```python
    reader = keras_electra.ElectraQuestionAnswering.from_preset(
        "electra_tiny_en"
    )
    reader.fit((questions, contexts), answers, batch_size=32, epochs=2)
    reader.answer("Who sleeps?", "A bee sleeps in winter.").text  # "A bee"
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraQuestionAnsweringPreprocessor
    token_outputs = True
    names = inputs.Names((("question", "context"),), ("answers", "answer"))

    @known_keywords("name", "compile", "dtype", "trainable")
    def __init__(
        self,
        backbone,
        preprocessor=None,
        head="joint",
        answerability="auto",
        beam_size=20,
        null_threshold=0.0,
        **kwargs,
    ):
        check_option("head", head, ("joint", "simple"))
        if answerability == "auto":
            answerability = "span" if head == "joint" else None
        check_option(
            "answerability", answerability, ("span", "first_token", None)
        )

        check_count("beam_size", beam_size)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        policy = {"dtype": backbone.dtype_policy}
        if head == "joint":
            self.span_head = JointSpanHead(
                beam_size, name="span_head", **policy
            )
        else:
            self.span_head = SimpleSpanHead(name="span_head", **policy)
        self.answerability_head = None
        if answerability is not None:
            self.answerability_head = AnswerabilityHead(
                answerability == "span", name="answerability_head", **policy
            )

        # === Functional Model ===
        inputs = dict(backbone.input)
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        masks = (inputs["padding_mask"], inputs["segment_ids"])
        if head == "joint":
            inputs["start_positions"] = keras.Input(
                shape=(), dtype="int32", name="start_positions"
            )
            outputs = self.span_head(x, *masks, inputs["start_positions"])
        else:
            outputs = self.span_head(x, *masks)
        if answerability is not None:
            outputs["answerable_logit"] = self.answerability_head(
                x, outputs["start_logits"], *masks
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.head = head
        self.answerability = answerability
        self.beam_size = beam_size
        self.null_threshold = null_threshold
        self.span_accuracy = keras.metrics.Mean(name="span_accuracy")

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._complete(inputs), *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(self._complete(inputs), training, mask)

    def _complete(self, inputs):
        """Inputs with `start_positions`, or without for the simple head."""
        if not isinstance(inputs, dict):
            return inputs
        if self.head == "simple":
            return {k: inputs[k] for k in inputs if k != "start_positions"}
        if "start_positions" not in inputs:
            # Of the kind of the others, which may be NumPy's or symbolic.
            unknown = inputs["token_ids"][:, 0] * 0 - 1
            inputs = {**inputs, "start_positions": unknown}
        return inputs

    def compile(self, optimizer="auto", loss="auto", **kwargs):
        for name in ("metrics", "weighted_metrics"):
            if kwargs.get(name) not in (None, "auto", []):
                raise ValueError(
                    f"`{name}` must be left out: starts and ends are judged "
                    "together, as `span_accuracy`. Received: "
                    f"{name}={kwargs[name]!r}."
                )
        super().compile(optimizer, loss, **kwargs)

    def default_loss(self):
        return SpanLoss()

    def default_metrics(self, loss):
        return []

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.loss(y, y_pred, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        right = spans_are_right(y, y_pred)
        self.span_accuracy.update_state(right, sample_weight)
        return self.get_metrics_result()

    def answer(
        self,
        questions,
        contexts=None,
        n_best=20,
        max_answer_length=30,
        batch_size=32,
    ):
        """Answers questions about texts.

        Args:
            questions: string, or a column of strings; or any of the inputs
                that `fit` takes, with the contexts.
            contexts: string, or a column of strings, the text for each
                question; `None` where `questions` holds them.
            n_best: int. Most answers of each list. Defaults to `20`.
            max_answer_length: int, in tokens. Defaults to `30`.
            batch_size: int. Windows computed together. Defaults to `32`.

        Returns:
            For a string an `Answers`, for several questions a list of these.
        """
        x = questions if contexts is None else (questions, contexts)
        x, is_one = self.read_inputs(x, "answer")
        documents, windows = self.preprocessor.split(*x)
        rows = self.preprocessor.pack([row for some in windows for row in some])
        outputs = iter(self.predict_rows(rows, batch_size))
        results = [
            rank_answers(
                document,
                some,
                [_without_mask(next(outputs)) for _ in some],
                n_best,
                max_answer_length,
                self.null_threshold,
            )
            for document, some in zip(documents, windows)
        ]
        return results[0] if is_one else results

    @known_keywords(answer)
    def tune_null_threshold(
        self, questions, contexts, answers, metric="f1", **kwargs
    ):
        """Sets `null_threshold` to what is best on a development set.

        Args:
            questions, contexts: as in `answer`.
            answers: column with, for each question, a list of right answers,
                empty where there is none.
            metric: string. `"f1"`, the default, or `"exact"`.
            **kwargs: arguments of `answer`.

        Returns:
            `(score, threshold)`: the mean of the metric with the threshold,
            0.0 to 1.0, and the threshold. After an error it stays as it was.
        """
        check_option("metric", metric, tuple(SCORES))
        answers = inputs.to_column(answers)
        if len(answers) != len(questions):
            raise ValueError(
                "`answers` must hold one list of right answers a question. "
                f"Received: {len(questions)} questions and {len(answers)} "
                "lists."
            )
        results = self.answer(questions, contexts, **kwargs)
        texts = [result.best_text for result in results]
        scores = [
            best_score(SCORES[metric], text, golds)
            for text, golds in zip(texts, answers)
        ]
        score, self.null_threshold = best_threshold(
            [result.null_score for result in results],
            scores,
            [bool(golds) for golds in answers],
            texts,
        )
        return score, self.null_threshold

    @property
    def padded_output(self):
        # The joint head masks its logits itself.
        return MASKED_SCORE if self.head == "joint" else 0.0

    def check_inputs(self, x):
        to_questions(x)

    def encode_labels(self, x, y):
        return to_answers(y, len(x[0]))


def _without_mask(outputs):
    """Outputs of a window, with low scores where no answer may be."""
    starts, ends = masked_logits(outputs)
    outputs = {**outputs, "start_logits": starts, "end_logits": ends}
    outputs.pop("answer_mask", None)
    return outputs
