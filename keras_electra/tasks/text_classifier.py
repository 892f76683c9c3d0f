"""Labels for a text or a pair of texts."""

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.data import inputs
from keras_electra.data.rows import TextPreprocessor
from keras_electra.model.layers import dense
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import sigmoid
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.task import ElectraTask
from keras_electra.training.fit import TEXT_COLUMNS


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifierPreprocessor(
    TextPreprocessor, keras_hub.models.TextClassifierPreprocessor
):
    __doc__ = TextPreprocessor.__doc__


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifier(ElectraTask, keras_hub.models.TextClassifier):
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
    names = inputs.Names(TEXT_COLUMNS)

    def __init__(
        self,
        backbone,
        num_classes=None,
        preprocessor=None,
        activation=None,
        dropout=0.1,
        head="google",
        labels=None,
        problem_type=None,
        text_pairs=None,
        **kwargs,
    ):
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

    def default_loss(self):
        if self.problem_type == "regression":
            return keras.losses.MeanSquaredError()
        loss = keras.losses.SparseCategoricalCrossentropy
        if self.problem_type == "multi_label":
            loss = keras.losses.BinaryCrossentropy
        return loss(from_logits=self.activation == "linear")

    def default_metrics(self):
        if self.problem_type == "regression":
            return [keras.metrics.MeanAbsoluteError()]
        if self.problem_type == "multi_label":
            limit = 0.0 if self.activation == "linear" else 0.5
            return [keras.metrics.BinaryAccuracy("accuracy", threshold=limit)]
        return super().default_metrics()

    def classify(self, texts, batch_size=32):
        """Pairs `(label, probability)` of a text, most probable first.

        A text may be a tuple of two; several give lists, regressions numbers.
        """
        x, is_one = self.read_inputs(texts, "classify")
        results = list(map(self._result, self.predict_rows(x, batch_size)))
        return results[0] if is_one else results

    def _result(self, outputs):
        outputs = np.asarray(outputs, "float32")
        if self.problem_type == "regression":
            return outputs.tolist() if self.num_classes > 1 else outputs.item()
        if self.activation == "linear":
            many = self.problem_type == "multi_label"
            outputs = sigmoid(outputs) if many else softmax(outputs)
        order = np.argsort(-outputs, kind="stable")
        names = self.label_encoder.names
        return [(names[i], float(outputs[i])) for i in order]

    def check_inputs(self, x):
        inputs.check_texts(x)
        pairs = isinstance(x, tuple) and len(x) > 1
        if self.text_pairs not in (None, pairs):
            kinds = {True: "pairs of texts", False: "single texts"}
            raise ValueError(
                f"This classifier was trained on {kinds[self.text_pairs]}, "
                f"but `x` holds {kinds[pairs]}. Pairs are a tuple of two lists."
            )

    def encode_labels(self, x, y):
        self.text_pairs = isinstance(x, tuple) and len(x) > 1
        return self.label_encoder.encode(y, self.loss)
