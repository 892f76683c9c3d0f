"""One vector for a text, such that alike texts have alike vectors."""

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.contrastive_loss import ContrastiveLoss
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning_task import FineTuningTask
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_option
from keras_electra.tasks.pooling import Pooling
from keras_electra.tasks.text_embedder_preprocessor import (
    ElectraTextEmbedderPreprocessor,
)
from keras_electra.tasks.texts import check_text_columns


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextEmbedder(FineTuningTask, SavesPresets, keras_hub.models.Task):
    """Embeds texts, for search, clustering and comparison.

    A discriminator's last layers know little but which tokens were replaced
    (compare sentence-transformers issues 193 and 362), so by default the
    layers above the middle are not used. `fit` takes pairs of texts that
    belong together, as a tuple of two lists, or texts with class numbers;
    everything else in a batch counts as different, so large batches help.

    Args:
        backbone: `ElectraBackbone`.
        preprocessor: `ElectraTextEmbedderPreprocessor`, or `None`, the
            default, to pass arrays instead of texts.
        pooling: string. `"mean"`, the default, of the vectors of all tokens,
            or `"cls"`, the vector of `[CLS]`.
        layer: int or `None`. Layer whose output is used, from 1 to the number
            of layers. Defaults to `None`: the middle one, rounded up.
        normalize: bool. Whether vectors get length 1, so that a product of
            two is their cosine. Defaults to `True`.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        float32 vectors of shape `(batch, hidden_dim)`.

    Raises:
        ValueError: when `pooling` or `layer` are not as described.

    Example:
    ```python
    embedder = keras_electra.ElectraTextEmbedder.from_preset("electra_tiny_en")
    first, second = embedder.embed(["A bee sleeps.", "An insect rests."])
    first @ second  # the cosine
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraTextEmbedderPreprocessor
    label_spec = "groups"

    def __init__(
        self,
        backbone,
        preprocessor=None,
        pooling="mean",
        layer=None,
        normalize=True,
        **kwargs,
    ):
        check_option("pooling", pooling, ("mean", "cls"))
        if layer is None:
            layer = (backbone.num_layers + 1) // 2
        if layer not in range(1, backbone.num_layers + 1):
            raise ValueError(
                "`layer` must be the number of a layer, from 1 to "
                f"{backbone.num_layers}. Received: layer={layer!r}."
            )

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.pool = Pooling(pooling, normalize, dtype="float32", name="pooling")

        # === Functional Model ===
        # Through the layers of the backbone, as far as needed.
        x = backbone.transformer_layers[layer - 1].output  # (B, L, D)
        outputs = self.pool(x, backbone.input["padding_mask"])
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.pooling = pooling
        self.layer = layer
        self.normalize = normalize

    def compile(self, optimizer="auto", loss="auto", **kwargs):
        """Sets optimizer and loss; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss of groups and vectors. `"auto"`, the default, is
                `ContrastiveLoss`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        if loss == "auto":
            loss = ContrastiveLoss()
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def embed(self, texts, batch_size=32):
        """Computes the vectors of texts.

        Args:
            texts: string or list of strings.
            batch_size: int. Texts computed together. Defaults to `32`.

        Returns:
            float32 array of shape `(hidden_dim,)` for a string,
            `(n, hidden_dim)` for a list of strings.

        Raises:
            TypeError: when `texts` is neither a string nor a list of them.
            ValueError: when a text is empty, or there is no preprocessor.
        """
        texts, is_one = inference.check_texts(texts, "embed")
        inference.require_tokenizer(self, "embed")
        check_text_columns(texts)
        vectors = [np.zeros((0, self.backbone.hidden_dim), "float32")]
        for first in range(0, len(texts), batch_size):
            x = self.preprocessor.rows(texts[first : first + batch_size])
            vectors.append(inference.predict_short(self, x))
        vectors = np.concatenate(vectors)
        return vectors[0] if is_one else vectors

    def check_inputs(self, x):
        check_text_columns(x)

    def encode_labels(self, x, y):
        return LabelEncoder(2**31 - 1).encode(y)

    def makes_labels(self, x, y):
        # Pairs make their own.
        return y is not None or isinstance(x, tuple)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "pooling": self.pooling,
                "layer": self.layer,
                "normalize": self.normalize,
            }
        )
        return config
