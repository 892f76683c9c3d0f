"""Labels for a text or a pair of texts."""

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.transformer import exact_gelu
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning_task import FineTuningTask
from keras_electra.tasks.labels import PROBLEM_TYPES
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_label_names
from keras_electra.tasks.labels import check_num_classes
from keras_electra.tasks.labels import check_option
from keras_electra.tasks.probabilities import sigmoid
from keras_electra.tasks.probabilities import softmax
from keras_electra.tasks.text_classifier_preprocessor import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.tasks.texts import check_text_columns


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifier(
    FineTuningTask, SavesPresets, keras_hub.models.TextClassifier
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
        num_classes = check_num_classes(num_classes)
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
        object.__setattr__(self, "problem_type", problem_type)
        object.__setattr__(self, "_activation", activation)
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.head = head
        self.labels = labels
        self.text_pairs = text_pairs
        self.label_encoder = LabelEncoder(num_classes, labels, problem_type)

    def compile(
        self, optimizer="auto", loss="auto", *, metrics="auto", **kwargs
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss or its name. `"auto"`, the default, is cross-entropy
                of the logits: categorical for one label a text, binary for
                several; for a regression it is the squared error.
            metrics: list. `"auto"`, the default, is the accuracy, or for a
                regression the absolute error.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        is_logits = keras.activations.get(self._activation) in (
            None,
            keras.activations.linear,
        )
        losses = {
            "single_label": keras.losses.SparseCategoricalCrossentropy,
            "multi_label": keras.losses.BinaryCrossentropy,
        }
        if loss == "auto" and self.problem_type == "regression":
            loss = keras.losses.MeanSquaredError()
        elif loss == "auto":
            loss = losses[self.problem_type](from_logits=is_logits)
        if metrics == "auto" and self.problem_type == "regression":
            metrics = [keras.metrics.MeanAbsoluteError()]
        elif metrics == "auto" and self.problem_type == "multi_label":
            threshold = 0.0 if is_logits else 0.5
            metrics = [keras.metrics.BinaryAccuracy(threshold=threshold)]
        super().compile(optimizer, loss, metrics=metrics, **kwargs)

    def classify(self, texts, batch_size=32):
        """Names the classes of texts.

        Args:
            texts: string, list of strings, or for pairs a tuple of two of
                either.
            batch_size: int. Texts computed together. Defaults to `32`.

        Returns:
            For one text a list of pairs `(label, probability)`, most probable
            first; the label is a name or, without `labels`, the number of
            the class. For a regression the number, or a list of them. For a
            list of texts a list of these.

        Raises:
            TypeError: when `texts` is neither a string nor a list of them.
            ValueError: when a text is empty, when pairs are given to a
                classifier of single texts or the other way round, or there
                is no preprocessor.
        """
        parts = texts if isinstance(texts, tuple) else (texts,)
        parts = [inference.check_texts(part, "classify") for part in parts]
        is_one = parts[0][1]
        columns = tuple(part for part, _ in parts)
        inference.require_tokenizer(self, "classify")
        self.check_inputs(columns if len(columns) > 1 else columns[0])
        results = [None] * len(columns[0])
        for batch in inference.batches_by_length(columns, batch_size):
            few = tuple([column[i] for i in batch] for column in columns)
            x = self.preprocessor(few if len(few) > 1 else few[0], y=None)
            for i, row in zip(batch, inference.predict_short(self, x)):
                results[i] = self._result(row)
        return results[0] if is_one else results

    def _result(self, outputs):
        if self.problem_type == "regression":
            values = outputs.tolist()
            return values[0] if self.num_classes == 1 else values
        if keras.activations.get(self._activation) in (
            None,
            keras.activations.linear,
        ):
            many = self.problem_type == "multi_label"
            outputs = sigmoid(outputs) if many else softmax(outputs)
        order = np.argsort(-outputs, kind="stable")
        return [(self.label_encoder.name(i), float(outputs[i])) for i in order]

    @property
    def label_spec(self):
        """Shape and type of encoded labels, a `keras.KerasTensor`."""
        return self.label_encoder.spec

    def check_inputs(self, x):
        check_text_columns(x)
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
        return self.label_encoder.encode(y)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_classes": self.num_classes,
                "activation": keras.activations.serialize(self.activation),
                "dropout": self.dropout,
                "head": self.head,
                "labels": self.labels,
                "problem_type": self.problem_type,
                "text_pairs": self.text_pairs,
            }
        )
        return config
