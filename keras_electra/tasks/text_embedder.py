"""One vector for a text, such that alike texts have alike vectors."""

from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.arguments import check_option
from keras_electra.backend import replicas
from keras_electra.data import inputs
from keras_electra.data.rows import RowPreprocessor
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.task import ElectraTask

# Columns of tables with pairs of texts.
FIRST = ("anchor", "sentence1", "text1", "question")
SECOND = ("positive", "sentence2", "text2", "answer")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextEmbedderPreprocessor(RowPreprocessor):
    """Turns texts into rows, and pairs into two rows of one group, an int.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
    """

    makes_labels = True

    def rows(self, x, y=None, sample_weight=None, length=None):
        columns = x if isinstance(x, tuple) else (x,)
        # A pair becomes two neighbours.
        texts = [text for pair in zip(*columns, strict=True) for text in pair]
        if len(columns) > 1 and y is None:
            y = np.arange(len(columns[0]))
        if y is not None:
            y = np.array(y, "int32").repeat(len(columns))
        if sample_weight is not None:
            sample_weight = np.array(sample_weight, "float32")
            sample_weight = sample_weight.repeat(len(columns))
        return super().rows(texts, y, sample_weight, length)


@keras.saving.register_keras_serializable(package="keras_electra")
class ContrastiveLoss(KeepsArguments, keras.losses.Loss):
    """Cross-entropy of finding a text's partners among the batch.

    Logits are cosines over a temperature (Gao et al., SimCSE, EMNLP 2021,
    section 3). It is a mean over the partners, 0 without any.
    """

    def __init__(self, temperature: float = 0.05, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def call(self, y_true: Any, y_pred: Any) -> Any:
        vectors = ops.normalize(ops.cast(y_pred, "float32"), axis=-1)
        others = replicas.gathered(vectors)
        scores = ops.matmul(vectors, ops.transpose(others)) / self.temperature
        numbers = ops.arange(ops.shape(vectors)[0], dtype="int32")
        numbers = numbers + replicas.index() * 2**20  # more than rows
        is_self = numbers[:, None] == replicas.gathered(numbers)[None]
        is_self = ops.cast(is_self, "float32")
        log_probs = ops.log_softmax(scores - 1e4 * is_self, axis=-1)
        groups = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        partners = groups[:, None] == replicas.gathered(groups)[None]
        partners = ops.cast(partners, "float32")
        partners = partners * (1.0 - is_self)
        total = ops.sum(partners * log_probs, axis=-1)
        return -total / ops.maximum(ops.sum(partners, axis=-1), 1.0)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextEmbedder(ElectraTask, keras_hub.models.Task):
    """Embeds texts, for search, clustering and comparison.

    `fit` takes pairs of texts that belong together, as a tuple of two lists,
    or texts with class numbers; all else in a batch counts as different, so
    large batches help. Outputs are float32 vectors `(batch, hidden_dim)`. Of
    a folder of sentence-transformers, `from_preset` obeys the recipe.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        pooling: string. `"mean"` of the tokens, the default, or `"cls"`.
        layer: int. Layer whose output is used, from 1; by default the one that
            was taught vectors (`backbone.vector_layer`), or else the middle
            one: the last know less (sentence-transformers issues 193, 362).
        normalize: bool. Whether vectors get length 1. Defaults to `True`.

    ```python
    embedder = keras_electra.ElectraTextEmbedder.from_preset("electra_tiny_en")
    first, second = embedder.embed(["A bee sleeps.", "An insect rests."])
    first @ second  # the cosine
    ```
    """

    preprocessor_cls = ElectraTextEmbedderPreprocessor
    names = inputs.Names((*zip(FIRST, SECOND), ("text",), ("sentence",)))
    free_order = False  # all others in a batch count as unlike

    def __init__(
        self,
        backbone: keras.Model,
        preprocessor: keras.Layer | None = None,
        pooling: str = "mean",
        layer: int | None = None,
        normalize: bool = True,
        **kwargs: object,
    ) -> None:
        check_option("pooling", pooling, ("mean", "cls"))
        if layer is None:
            layer = backbone.vector_layer or (backbone.num_layers + 1) // 2
        check_option("layer", layer, range(1, backbone.num_layers + 1))
        self.keep_arguments(locals())
        # Through the layers of the backbone, as far as needed; then float32.
        x = backbone.transformer_layers[layer - 1].output  # (B, L, D)
        x = ops.cast(x, "float32")
        if pooling == "mean":
            mask = backbone.input["padding_mask"][:, :, None]  # (B, L, 1)
            mask = ops.cast(mask, "float32")
            count = ops.maximum(ops.sum(mask, axis=1), 1.0)
            x = ops.sum(x * mask, axis=1) / count
        else:
            x = x[:, 0]
        if normalize:
            x = ops.normalize(x, axis=-1)
        super().__init__(inputs=backbone.input, outputs=x, **kwargs)

    def default_loss(self) -> keras.losses.Loss:
        return ContrastiveLoss()

    def default_metrics(self) -> list[keras.metrics.Metric] | None:
        return None

    def embed(self, texts: object, batch_size: int = 32) -> np.ndarray:
        """The vector of a text, float32, or a row for each of several."""
        texts, is_one = self.read_inputs(texts, "embed")
        if isinstance(texts, tuple):
            raise TypeError("`embed` takes texts, not pairs. Embed each part.")
        vectors = np.array(self.predict_rows(texts, batch_size), "float32")
        vectors = vectors.reshape(-1, self.backbone.hidden_dim)
        return vectors[0] if is_one else vectors

    def needs_labels(self, x: object) -> bool:
        return not isinstance(x, tuple)  # pairs make their own

    def encode_labels(self, x: object, y: object) -> object:
        if y is None and isinstance(x, tuple):
            return np.arange(len(x[0]), dtype="int32")
        return LabelEncoder(2**31 - 1).encode(y)

    def rows_together(self, x: object) -> int:
        return len(x) if isinstance(x, tuple) else 1
