"""The discriminator on its own: which tokens look replaced?"""

import typing
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.data import inputs
from keras_electra.data.rows import TextPreprocessor
from keras_electra.data.rows import split_windows
from keras_electra.data.rows import text_rows
from keras_electra.model.embeddings import ReplacedTokenHead
from keras_electra.tasks import explanation
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.task import ElectraTask


class DetectedToken(typing.NamedTuple):
    """A word piece, at `text[start:end]`, and how replaced it looks.

    Attributes:
        token: string. The word piece as in the vocabulary.
        probability: float. Of being replaced, 0 to 1.
    """

    token: str
    start: int
    end: int
    probability: float


@keras.saving.register_keras_serializable(package="keras_electra")
class TokenBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of logits, averaged over the weighted tokens.

    As `run_pretraining.py:197-203`; Keras' averages the last axis first.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, y_pred.dtype)
        return ops.binary_crossentropy(y_true, y_pred, from_logits=True)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraReplacedTokenDetectorPreprocessor(TextPreprocessor):
    """Rows; labels are one a token, without weights padding gets weight 0.

    Args:
        tokenizer, sequence_length, truncate, **kwargs: as of the classifier's.
    """

    def call(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        x = super().call(x)
        if y is not None and sample_weight is None:
            sample_weight = x["padding_mask"]
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def rows(self, x, y=None, sample_weight=None, length=None):
        x = super().rows(x, length=length)
        mask = x["padding_mask"]
        if sample_weight is not None and np.ndim(sample_weight[0]) == 0:
            sample_weight = mask * np.reshape(sample_weight, (-1, 1))
        pad = keras.utils.pad_sequences  # one a token, 0 for padding
        how = (mask.shape[1], "float32", "post", "post")
        data = inputs.map_columns(lambda v: pad(v, *how), (y, sample_weight))
        return keras.utils.pack_x_y_sample_weight(x, *data)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraReplacedTokenDetector(
    Calibrates, ElectraTask, keras_hub.models.Task
):
    """Scores every token of a text as original or replaced.

    `from_preset` on the folder of an `ElectraPretrainer` opens its
    discriminator and head. Logits `(batch, length)` are positive for replaced.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        head: `ReplacedTokenHead` of the network, or `None` for a fresh one.

    ```python
    detector = ElectraReplacedTokenDetector.from_preset("electra_tiny_en")
    for token in detector.detect("The chef kicked the delicious meal."):
        print(token.token, token.start, token.end, token.probability)
    ```
    """

    preprocessor_cls = ElectraReplacedTokenDetectorPreprocessor
    token_labels = True
    token_outputs = True
    may_be_empty = True  # a text without tokens has none that are replaced
    unsaved = ("backbone", "preprocessor", "head")

    def __init__(
        self, backbone, preprocessor=None, head=None, calibration=None, **kwargs
    ):
        head = head or ReplacedTokenHead(
            backbone.activation,
            backbone.initializer_range,
            dtype=backbone.dtype_policy,
            name="replaced_token_head",
        )
        self.keep_arguments(locals())
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        super().__init__(inputs=backbone.input, outputs=head(x), **kwargs)

    def default_loss(self) -> keras.losses.Loss:
        return TokenBinaryCrossentropy()

    def default_metrics(self) -> list[keras.metrics.Metric] | None:
        accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
        return [accuracy, keras.metrics.AUC(from_logits=True, name="auc")]

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        if y is not None and sample_weight is None:
            sample_weight = x["padding_mask"]
        return x, y, sample_weight

    def detect(
        self, texts: object, batch_size: int = 32, abstain_below: float = 0.0
    ) -> typing.Any:
        """A list of `DetectedToken` for a text, of such lists for several.

        A text that is longer than a row is read in windows that overlap by
        half; each token is judged where it has most text around it. Those are
        left out of which neither is as probable as `abstain_below`.
        """
        texts, is_one = self.read_inputs(texts, "detect", None, abstain_below)
        tokenizer = self.preprocessor.tokenizer
        length = self.preprocessor.sequence_length
        length = min(length, self.backbone.max_sequence_length)
        ids, offsets = tokenizer.encode_with_offsets(texts)
        windows = [
            (i, *window)
            for i, row in enumerate(ids)
            for window in split_windows(len(row), length - 2)
        ]
        parts = [ids[i][start:stop] for i, start, stop, *_ in windows]
        x = text_rows(parts, None, tokenizer, length)
        results, outputs = [[] for _ in texts], self.predict_rows(x, batch_size)
        for (i, start, _, first, last), logits in zip(windows, outputs):
            # Behind [CLS], where the window starts.
            shares = self.probabilities(logits[1:]).tolist()
            for j in range(first, last):
                if max(share := shares[j - start], 1 - share) < abstain_below:
                    continue
                token = tokenizer.id_to_token(ids[i][j])
                token = DetectedToken(token, *offsets[i][j], share)
                results[i].append(token)
        return results[0] if is_one else results

    def explain(self, text: Any, attention: bool = False) -> Any:
        """An `Explanation` of a text; `attention` adds that of every head."""
        x, texts = explanation.read_one(self, text)
        title = "How probably each token was replaced"
        tokens = [[token[1:] for token in self.detect(text)]]
        attention = attention and explanation.attention_by_head(self, x)
        return explanation.Explanation(title, texts, tokens, attention)
