"""Labels for a text or a pair of texts."""

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.transformer import exact_gelu
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks.labels import PROBLEM_TYPES
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_label_names
from keras_electra.tasks.labels import sigmoid
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.labels import takes_rows
from keras_electra.tasks.rows import RowPreprocessor
from keras_electra.tasks.task import ElectraTask


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifierPreprocessor(
    RowPreprocessor, keras_hub.models.TextClassifierPreprocessor
):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    A text becomes `[CLS] text [SEP]`, a pair `[CLS] first [SEP] second
    [SEP]` with segment ids 0 and 1.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        truncate: string. How a pair that is too long is shortened:
            `"round_robin"`, the default, cuts the longer text, as the
            original does; `"waterfall"` cuts the second before the first.
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=512,
        truncate="round_robin",
        **kwargs,
    ):
        super().__init__(
            tokenizer, sequence_length, truncate=truncate, **kwargs
        )


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifier(
    ElectraTask, SavesPresets, keras_hub.models.TextClassifier
):
    """Classifies texts by the vector of their first token, `[CLS]`.

    `fit`, `evaluate` and `predict` take lists of strings or, for pairs, a
    tuple of two lists; labels are class numbers from 0 or, with `labels`,
    names.

    Args:
        backbone: `ElectraBackbone`.
        num_classes: int or `None`. Number of classes, or of targets of a
            regression. Defaults to the number of `labels`.
        preprocessor: `ElectraTextClassifierPreprocessor`, or `None`, the
            default, to pass arrays instead of texts.
        activation: string, function or `None`. Applied to the logits.
            Defaults to `None`.
        dropout: float. Share of the vectors that is dropped. Defaults to
            `0.1`, the original's.
        head: string. `"google"`, the default, is the original's, dropout and
            one linear layer that starts from Glorot uniform
            (`finetune/classification/classification_tasks.py:270-275`).
            `"transformers"` is that of Hugging Face's package: dropout, a
            dense layer of the network's width with GELU, dropout, linear.
        labels: list of str or `None`. Names of the classes.
        problem_type: string or `None`. `"single_label"` (one class a text),
            `"multi_label"` (any number of classes a text; labels are lists
            of names or rows of 0 and 1) or `"regression"` (numbers).
            Defaults to `"single_label"`, for one class to `"regression"`.
        text_pairs: bool or `None`. Whether inputs are pairs. Defaults to
            `None`, to be found out by the first `fit`.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        Logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: when `num_classes` is not a positive integer, or `head`,
            `labels` or `problem_type` are not as described.

    Example:
    ```python
    classifier = keras_electra.ElectraTextClassifier.from_preset(
        "electra_tiny_en", labels=["bad", "good"]
    )
    classifier.fit(texts, ["good", "bad", ...], batch_size=32, epochs=3)
    classifier.classify("A fine day")  # [("good", 0.97), ("bad", 0.03)]
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraTextClassifierPreprocessor
    names = inputs.Names(
        (
            ("sentence1", "sentence2"),
            ("premise", "hypothesis"),
            ("question1", "question2"),
            ("text1", "text2"),
            ("question", "sentence"),
            ("text",),
            ("sentence",),
        )
    )

    @known_keywords("name", "compile", "dtype", "trainable")
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
        labels, num_classes = check_label_names(labels, num_classes)
        if problem_type is None:
            problem_type = "regression" if num_classes == 1 else "single_label"
        check_option("head", head, ("google", "transformers"))
        check_option("problem_type", problem_type, PROBLEM_TYPES)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.hidden_dropout, self.hidden_dense = None, None
        if head == "transformers":
            self.hidden_dropout = keras.layers.Dropout(
                dropout, dtype=backbone.dtype_policy, name="hidden_dropout"
            )
            self.hidden_dense = keras.layers.Dense(
                backbone.hidden_dim,
                activation=exact_gelu,
                kernel_initializer=keras.initializers.TruncatedNormal(
                    stddev=backbone.initializer_range
                ),
                dtype=backbone.dtype_policy,
                name="hidden_dense",
            )
        self.output_dropout = keras.layers.Dropout(
            dropout, dtype=backbone.dtype_policy, name="output_dropout"
        )
        self.output_dense = keras.layers.Dense(
            num_classes,
            activation=activation,
            dtype=backbone.dtype_policy,
            name="logits",
        )

        # === Functional Model ===
        x = backbone(backbone.input)["sequence_output"][:, 0, :]  # (B, D)
        if head == "transformers":
            x = self.hidden_dense(self.hidden_dropout(x))
        outputs = self.output_dense(self.output_dropout(x))
        # `compile`, called by `super`, needs to know.
        for name, value in {
            "problem_type": problem_type,
            "activation": keras.activations.get(activation),
        }.items():
            object.__setattr__(self, name, value)
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.dropout = dropout
        self.head = head
        self.labels = labels
        self.text_pairs = text_pairs
        self.label_encoder = LabelEncoder(num_classes, labels, problem_type)

    def _gives_logits(self):
        return self.activation in (None, keras.activations.linear)

    def default_loss(self):
        if self.problem_type == "regression":
            return keras.losses.MeanSquaredError()
        losses = {
            "single_label": keras.losses.SparseCategoricalCrossentropy,
            "multi_label": keras.losses.BinaryCrossentropy,
        }
        return losses[self.problem_type](from_logits=self._gives_logits())

    def default_metrics(self, loss):
        if self.problem_type == "regression":
            return [keras.metrics.MeanAbsoluteError()]
        if self.problem_type == "multi_label":
            threshold = 0.0 if self._gives_logits() else 0.5
            return [
                keras.metrics.BinaryAccuracy("accuracy", threshold=threshold)
            ]
        if takes_rows(loss):
            return [keras.metrics.CategoricalAccuracy("accuracy")]
        if takes_rows(loss) is None:
            return ["accuracy"]  # by the labels that come
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def classify(self, texts, batch_size=32):
        """Names the classes of texts.

        Args:
            texts: a string, for a pair a tuple of two; or any of the inputs
                that `fit` takes.
            batch_size: int. Texts computed together. Defaults to `32`.

        Returns:
            For one text a list of pairs `(label, probability)`, most probable
            first; the label is a name or, without `labels`, the number of
            the class. For a regression the number, or a list of them. For
            several texts a list of these.

        Raises:
            TypeError: when `texts` is neither a string nor holds strings.
            ValueError: when a text is empty, when pairs are given to a
                classifier of single texts or the other way round, or there
                is no preprocessor.
        """
        x, is_one = self.read_inputs(texts, "classify")
        results = [
            self._result(np.asarray(outputs, "float32"))
            for outputs in self.predict_rows(x, batch_size)
        ]
        return results[0] if is_one else results

    def _result(self, outputs):
        if self.problem_type == "regression":
            values = outputs.tolist()
            return values[0] if self.num_classes == 1 else values
        if self._gives_logits():
            many = self.problem_type == "multi_label"
            outputs = sigmoid(outputs) if many else softmax(outputs)
        order = np.argsort(-outputs, kind="stable")
        return [(self.label_encoder.name(i), float(outputs[i])) for i in order]

    def check_inputs(self, x):
        inputs.check_texts(x)
        pairs = isinstance(x, tuple) and len(x) > 1
        if self.text_pairs not in (None, pairs):
            kinds = {True: "pairs of texts", False: "single texts"}
            raise ValueError(
                f"This classifier was trained on {kinds[self.text_pairs]}, "
                f"but `x` holds {kinds[pairs]}. Pairs are given as a tuple "
                "of two lists, `(firsts, seconds)`."
            )

    def encode_labels(self, x, y):
        self.text_pairs = isinstance(x, tuple) and len(x) > 1
        return self.label_encoder.encode(y, self.loss)
