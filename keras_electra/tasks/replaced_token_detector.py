"""The discriminator on its own: which tokens look replaced?"""

import typing

import keras
import keras_hub
from keras import ops

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.heads import ReplacedTokenHead
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning import restore_compilation
from keras_electra.tasks.probabilities import sigmoid
from keras_electra.tasks.rows import split_windows
from keras_electra.tasks.shuffling import shuffled_fit
from keras_electra.text.preprocessor import TextPreprocessor


class DetectedToken(typing.NamedTuple):
    """One word piece of a text, and how replaced it looks.

    Attributes:
        token: string. The word piece as in the vocabulary.
        start: int. First character in the text.
        end: int. Character after the last, so `text[start:end]` is the piece.
        probability: float. Probability of being replaced, 0 to 1.
    """

    token: str
    start: int
    end: int
    probability: float


@keras.saving.register_keras_serializable(package="keras_electra")
class TokenBinaryCrossentropy(keras.losses.Loss):
    """Mean over the tokens of the binary cross-entropy of logits.

    The original's discriminator loss: the sum over the weighted tokens by
    the sum of the weights (`run_pretraining.py:197-203`). Keras' averages
    over the last axis before it weights, so that weights of shape `(batch,
    length)` would not weigh tokens.

    Args:
        reduction: string. As in `keras.losses.Loss`. Defaults to
            `"mean_with_sample_weight"`.
        **kwargs: `name` and `dtype` of `keras.losses.Loss`.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        return ops.binary_crossentropy(y_true, y_pred, from_logits=True)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraReplacedTokenDetectorPreprocessor(TextPreprocessor):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    Labels are one a token of the packed row, `[CLS]` and `[SEP]` included.
    Where no weights come with them, padding gets weight 0.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`. Defaults to
            `"round_robin"`.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, a tuple of two of either (pairs), or
            a dict of arrays that is packed already and stays as it is. A
            tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: array of shape `(batch, sequence_length)`, 1 where a token is
            replaced, or `None`.
        sample_weight: array of the shape of `y`, or `None`.

    Returns:
        A dict of arrays of shape `(batch, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`; with `y` a tuple of it, `y` and
        `sample_weight`.
    """

    def call(self, x, y=None, sample_weight=None):
        if not isinstance(x, dict):
            x = self.pack(x)
        if y is not None and sample_weight is None:
            sample_weight = x["padding_mask"]
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraReplacedTokenDetector(SavesPresets, keras_hub.models.Task):
    """Scores every token of a text as original or replaced.

    `from_preset` on the folder of an `ElectraPretrainer` opens its
    discriminator with its head.

    Args:
        backbone: `ElectraBackbone`. The discriminator's.
        preprocessor: `ElectraReplacedTokenDetectorPreprocessor`, or `None`,
            the default, to pass arrays instead of texts.
        head: `ReplacedTokenHead` or `None`. A trained head of the same
            network. Not part of the configuration, its weights are saved.
            Defaults to `None`: a fresh one.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        Logits of shape `(batch, length)`; positive means replaced.

    Example:
    ```python
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        "electra_tiny_en"
    )
    for token in detector.detect("The chef kicked the delicious meal."):
        print(token.token, token.start, token.end, token.probability)
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraReplacedTokenDetectorPreprocessor

    def __init__(self, backbone, preprocessor=None, head=None, **kwargs):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.head = head or ReplacedTokenHead(
            activation=backbone.activation,
            initializer_range=backbone.initializer_range,
            dtype=backbone.dtype_policy,
            name="replaced_token_head",
        )

        # === Functional Model ===
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        super().__init__(inputs=backbone.input, outputs=self.head(x), **kwargs)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        weighted_metrics="auto",
        **kwargs,
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss or its name. `"auto"`, the default, is binary
                cross-entropy of the logits, averaged over the weighted
                tokens.
            weighted_metrics: list. `"auto"`, the default, is the accuracy
                and the area under the ROC curve.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        if loss == "auto":
            loss = TokenBinaryCrossentropy()
        if weighted_metrics == "auto":
            weighted_metrics = [
                keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
                keras.metrics.AUC(from_logits=True, name="auc"),
            ]
        super().compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def compile_from_config(self, config):
        restore_compilation(self, config)

    def fit(self, x=None, y=None, **kwargs):
        """Trains on texts or arrays, shuffled anew in every epoch.

        Args:
            x: list of strings, tuple of two such lists (pairs), dict of int
                arrays, or a data set.
            y: array of shape `(n, length)`, 1 where a token is replaced.
            **kwargs: `batch_size`, `epochs`, `validation_data`, `shuffle`
                and the like of `keras.Model.fit`. A data set is taken in its
                own order.

        Returns:
            A `keras.callbacks.History`.
        """
        return shuffled_fit(super().fit, x, y, **kwargs)

    def detect(self, texts, batch_size=32):
        """Gives every word piece of texts a probability of being replaced.

        A text that is longer than a row is read in windows that overlap by
        half; each token is judged where it has most text around it.

        Args:
            texts: string or list of strings.
            batch_size: int. Windows computed together. Defaults to `32`.

        Returns:
            For a string a list of `DetectedToken`, in the order of the text;
            for a list of strings a list of these.

        Raises:
            TypeError: when `texts` is neither a string nor a list of them.
            ValueError: when there is no preprocessor.
        """
        texts, is_one = inference.check_texts(texts, "detect")
        tokenizer = inference.require_tokenizer(self, "detect")
        room = inference.text_length(self)
        rows, offsets = tokenizer.encode_with_offsets(texts)
        windows = [
            (text, window)
            for text, ids in enumerate(rows)
            for window in split_windows(len(ids), room)
        ]
        pieces = [
            rows[text][window.start : window.stop] for text, window in windows
        ]
        results = [[] for _ in texts]
        for (text, window), logits in zip(
            windows, inference.predict_rows(self, pieces, batch_size)
        ):
            probabilities = sigmoid(logits)
            for place in range(window.first, window.last):
                results[text].append(
                    DetectedToken(
                        tokenizer.id_to_token(rows[text][place]),
                        *offsets[text][place],
                        # Behind [CLS], where the window starts.
                        float(probabilities[1 + place - window.start]),
                    )
                )
        return results[0] if is_one else results
