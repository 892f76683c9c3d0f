"""One label for a text or a pair of texts."""

import operator

import keras
import keras_hub

from keras_electra import presets
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning import restore_compilation
from keras_electra.tasks.shuffling import shuffled_fit
from keras_electra.tasks.text_classifier_preprocessor import (
    ElectraTextClassifierPreprocessor,
)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifier(
    presets.PresetSaving, keras_hub.models.TextClassifier
):
    """Classifies texts by the vector of their first token, `[CLS]`.

    Dropout and one linear layer on that vector, as in the original
    (`finetune/classification/classification_tasks.py:270-275`), which starts
    from Glorot uniform there and here.

    Args:
        backbone: `ElectraBackbone`.
        num_classes: int. Number of classes; `1` is for regression with a
            loss and metrics of one's own.
        preprocessor: `ElectraTextClassifierPreprocessor`, or `None`, the
            default, to pass arrays instead of texts.
        activation: string, function or `None`. Applied to the logits.
            Defaults to `None`.
        dropout: float. Share of the vector that is dropped. Defaults to
            `0.1`, the original's.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        Logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: when `num_classes` is not a positive integer.

    Example:
    ```python
    classifier = keras_electra.ElectraTextClassifier.from_preset(
        "electra_tiny_en", num_classes=2
    )
    classifier.fit(texts, labels, batch_size=32, epochs=3)
    classifier.predict((premises, hypotheses))  # pairs
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraTextClassifierPreprocessor

    def __init__(
        self,
        backbone,
        num_classes,
        preprocessor=None,
        activation=None,
        dropout=0.1,
        **kwargs,
    ):
        num_classes = _checked_num_classes(num_classes)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
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
        outputs = self.output_dense(self.output_dropout(x))
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.activation = keras.activations.get(activation)
        self.dropout = dropout

    def compile(
        self, optimizer="auto", loss="auto", *, metrics="auto", **kwargs
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss or its name. `"auto"`, the default, is sparse
                categorical cross-entropy of the logits.
            metrics: list. `"auto"`, the default, is the accuracy.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        super().compile(optimizer, loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config):
        restore_compilation(self, config)

    def fit(self, x=None, y=None, **kwargs):
        """Trains on texts and labels, shuffled anew in every epoch.

        Args:
            x: list of strings, tuple of two such lists (pairs), or a data set.
            y: list or array of class numbers, from 0.
            **kwargs: `batch_size`, `epochs`, `validation_data`, `shuffle`
                and the like of `keras.Model.fit`. A data set is taken in its
                own order.

        Returns:
            A `keras.callbacks.History`.
        """
        return shuffled_fit(super().fit, x, y, **kwargs)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_classes": self.num_classes,
                "activation": keras.activations.serialize(self.activation),
                "dropout": self.dropout,
            }
        )
        return config


def _checked_num_classes(num_classes):
    try:
        # Also takes the integers of NumPy, as in `labels.max() + 1`.
        number = operator.index(num_classes)
    except TypeError:
        number = 0
    if number < 1 or isinstance(num_classes, bool):
        raise ValueError(
            "`num_classes` must be a positive integer, the number of "
            f"different labels. Received: num_classes={num_classes!r}."
        )
    return number
