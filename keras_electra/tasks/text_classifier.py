"""Labels for a text or a pair of texts."""

import typing
from typing import Any

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.data import inputs
from keras_electra.data.rows import TextPreprocessor
from keras_electra.model.layers import dense
from keras_electra.tasks import explanation
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.task import ElectraTask
from keras_electra.training.fit import TEXT_COLUMNS


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifierPreprocessor(
    TextPreprocessor, keras_hub.models.TextClassifierPreprocessor
):
    __doc__ = TextPreprocessor.__doc__


class ClassifiesTexts(Calibrates, ElectraTask):
    """Tasks that give texts labels; mixed in before KerasHub's base class."""

    names: Any = inputs.Names(TEXT_COLUMNS)

    def classify(
        self, texts: object, batch_size: int = 32, abstain_below: float = 0.0
    ) -> typing.Any:
        """Pairs `(label, probability)` of a text, most probable first.

        A text may be a tuple of two; several give lists, regressions numbers.
        Where no label is as probable as `abstain_below` the list is empty; of
        several labels it lacks those that are not so surely there or not.
        """
        x, is_one = self.read_inputs(texts, "classify", None, abstain_below)
        outputs = self.predict_rows(x, batch_size)
        results = [self._result(logits, abstain_below) for logits in outputs]
        return results[0] if is_one else results

    def _result(self, outputs, abstain_below):
        p = np.asarray(outputs, "float32")
        if self.problem_type == "regression":
            return p.tolist() if self.num_classes > 1 else p.item()
        p = self.probabilities(p)
        sure = np.maximum(p, p.max() if self.is_exclusive else 1 - p)
        order = np.argsort(-p, kind="stable")
        order = [i for i in order if sure[i] >= abstain_below]
        return [(self.label_encoder.names[i], float(p[i])) for i in order]

    def check_inputs(self, x: object) -> None:
        inputs.check_texts(x)
        pairs = isinstance(x, tuple) and len(x) > 1
        if self.text_pairs not in (None, pairs):
            kinds = {True: "pairs of texts", False: "single texts"}
            raise ValueError(
                f"This classifier was trained on {kinds[self.text_pairs]}, "
                f"but `x` holds {kinds[pairs]}. Pairs are a tuple of two lists."
            )

    def encode_labels(self, x: object, y: object) -> object:
        self.text_pairs: bool = isinstance(x, tuple) and len(x) > 1
        return self.label_encoder.encode(y, self.loss)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifier(ClassifiesTexts, keras_hub.models.TextClassifier):
    """Classifies texts by the vector of their first token, `[CLS]`.

    Inputs are lists of strings, or tuples of two for pairs; labels are numbers
    from 0 or, with `labels`, names. Gives logits `(batch, num_classes)`.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        num_classes: int. Of classes or of targets. By default of `labels`.
        activation: string, function or `None`, the default. Of the logits.
        dropout: float. Share of the vectors dropped, by default `0.1`.
        head: string. `"google"`, the default: dropout and a linear layer
            (`classification_tasks.py:270-275`). `"transformers"`: dropout, a
            dense layer of the network's width with GELU, dropout, linear.
        labels: list of str or `None`. Names of the classes.
        problem_type: string. `"single_label"`, `"multi_label"` (rows of 0 and 1
            or lists of names) or, the default for one class, `"regression"`.
        text_pairs: bool. Whether inputs are pairs. The first `fit` finds out.

    ```python
    classifier = keras_electra.ElectraTextClassifier.from_preset(
        "electra_tiny_en", labels=["bad", "good"]
    )
    classifier.fit(texts, ["good", "bad", ...], batch_size=32, epochs=3)
    classifier.classify("A fine day")  # [("good", 0.97), ("bad", 0.03)]
    ```
    """

    preprocessor_cls = ElectraTextClassifierPreprocessor

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int | None = None,
        preprocessor: keras.Layer | None = None,
        activation: object = None,
        dropout: float = 0.1,
        head: str = "google",
        labels: list[str] | None = None,
        problem_type: str | None = None,
        text_pairs: bool | None = None,
        calibration: dict[str, object] | None = None,
        **kwargs: object,
    ) -> None:
        check_option("head", head, ("google", "transformers"))
        encoder = LabelEncoder(num_classes, labels, problem_type)
        num_classes, labels = encoder.num_classes, encoder.labels
        problem_type = encoder.problem_type
        function = keras.activations.get(activation)
        activation = keras.activations.serialize(function)
        self.keep_arguments(locals())  # `compile`, called by `super`, asks
        hidden, width = None, backbone.hidden_dim
        if head == "transformers":
            hidden = dense(backbone, width, "hidden_dense", "gelu")
            self.hidden_dense = hidden
        x = backbone(backbone.input)["sequence_output"][:, 0, :]  # (B, D)
        x = self.add_logits(x, num_classes, dropout, function, hidden)
        super().__init__(inputs=backbone.input, outputs=x, **kwargs)
        self.label_encoder = encoder

    def default_loss(self) -> keras.losses.Loss:
        if self.problem_type == "regression":
            return keras.losses.MeanSquaredError()
        loss = keras.losses.SparseCategoricalCrossentropy
        if self.problem_type == "multi_label":
            loss = keras.losses.BinaryCrossentropy
        return loss(from_logits=self.activation == "linear")

    def default_metrics(self) -> list[keras.metrics.Metric] | None:
        if self.problem_type == "regression":
            return [keras.metrics.MeanAbsoluteError()]
        if self.problem_type == "multi_label":
            limit = 0.0 if self.activation == "linear" else 0.5
            return [keras.metrics.BinaryAccuracy("accuracy", threshold=limit)]
        return super().default_metrics()

    def head_of(self, x: object) -> object:
        """Logits of vectors `(batch, length, hidden_dim)`, nothing dropped."""
        x = x[:, 0]
        if self.head == "transformers":
            x = self.hidden_dense(x)
        return self.output_dense(x)

    def explain(
        self, text, label=None, method="integrated_gradients", attention=False
    ):
        """An `Explanation`: what each word adds to the log-odds of a label.

        Of regressions, and with an `activation`, it is to the output.

        Args:
            text: string, or a tuple of two.
            label: name or number of a class. Defaults to the most probable.
            method: string. `"integrated_gradients"`, the default: on the way of
                the embeddings from a text of `[MASK]`s; adds up to the whole
                (Sundararajan et al. 2017). `"leave_out"`: without the word.
            attention: bool. Whether to show attention by head, too.
        """
        check_option("method", method, ("integrated_gradients", "leave_out"))
        x, texts = explanation.read_one(self, text)
        row = self.preprocessor.rows(x)
        p = self.probabilities(self.predict_rows(row)[0])
        target = int(p.argmax())
        if label is not None:
            encoder = LabelEncoder(self.num_classes, self.labels)
            [target] = encoder.encode([label]).tolist()
        given = self, texts, row, target, method
        tokens, value, baseline = explanation.contributions(*given)
        title = f"{self.label_encoder.names[target]} ({p[target]:.2f}): what "
        title += f"each word adds to {value:+.2f}, which is {baseline:+.2f} "
        attention = attention and explanation.attention_by_head(self, x)
        given = f"{title}without", texts, tokens, attention, value, baseline
        return explanation.Explanation(*given)
