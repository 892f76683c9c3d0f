"""Which of several texts goes best with a context?"""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.transformer import exact_gelu
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.choices import FlattenChoices
from keras_electra.tasks.choices import UnflattenChoices
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning_task import FineTuningTask
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.multiple_choice_preprocessor import (
    ElectraMultipleChoicePreprocessor,
)
from keras_electra.tasks.multiple_choice_preprocessor import to_choices
from keras_electra.tasks.probabilities import softmax


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoice(
    FineTuningTask, SavesPresets, keras_hub.models.Task
):
    """Chooses the best continuation or answer for a context.

    `fit`, `evaluate` and `predict` take a tuple `(contexts, choices)` with a
    list of choices for each context; labels are the numbers of the right
    ones, from 0.

    The original has no such task; the head is that of transformers' package:
    a dense layer with GELU on the vector of `[CLS]`, dropout, one output.

    Args:
        backbone: `ElectraBackbone`.
        preprocessor: `ElectraMultipleChoicePreprocessor`, or `None`, the
            default, to pass arrays instead of texts.
        dropout: float. Share of the vectors that is dropped. Defaults to
            `0.1`.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, choices, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        Logits of shape `(batch, choices)`.

    Example:
    ```python
    chooser = keras_electra.ElectraMultipleChoice.from_preset("electra_tiny_en")
    chooser.fit((contexts, choices), labels, batch_size=32, epochs=3)
    chooser.choose("It rains.", ["Take a hat.", "Take a boat."])
    # [("Take a hat.", 0.8), ("Take a boat.", 0.2)]
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraMultipleChoicePreprocessor
    label_spec = "choices"

    def __init__(self, backbone, preprocessor=None, dropout=0.1, **kwargs):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
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
            1, dtype=backbone.dtype_policy, name="logits"
        )

        # === Functional Model ===
        inputs = {
            name: keras.Input(shape=(None, None), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        }
        flat = {
            name: FlattenChoices(name=f"flatten_{name}")(x)
            for name, x in inputs.items()
        }
        x = backbone(flat)["sequence_output"][:, 0, :]  # (B * C, D)
        x = self.output_dense(self.output_dropout(self.hidden_dense(x)))
        outputs = UnflattenChoices(
            dtype=backbone.dtype_policy, name="unflatten"
        )(x, inputs["token_ids"])  # (B, C)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
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
                categorical cross-entropy of the logits over the choices.
            metrics: list. `"auto"`, the default, is the accuracy.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        if loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(
            optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )

    def choose(self, contexts, choices, batch_size=8):
        """Ranks the choices of contexts.

        Args:
            contexts: string or list of strings.
            choices: list of strings, for a list of contexts a list of such
                lists, which may differ in length.
            batch_size: int. Contexts computed together. Defaults to `8`.

        Returns:
            For a string a list of pairs `(choice, probability)`, most
            probable first; for a list of strings a list of these.

        Raises:
            TypeError: when `contexts` is neither a string nor a list of them.
            ValueError: when a string is empty, there are fewer than two
                choices or not one list of them a context, or there is no
                preprocessor.
        """
        contexts, is_one = inference.check_texts(contexts, "choose")
        inference.require_tokenizer(self, "choose")
        choices = [choices] if is_one else list(choices)
        if len(choices) != len(contexts):
            raise ValueError(
                "`choices` must hold one list of choices a context. Received: "
                f"{len(contexts)} contexts and {len(choices)} lists."
            )
        results = [None] * len(contexts)
        for count in {len(texts) for texts in choices}:
            # Equally many choices at a time: they are one array.
            numbers = [
                i for i, texts in enumerate(choices) if len(texts) == count
            ]
            for first in range(0, len(numbers), batch_size):
                few = numbers[first : first + batch_size]
                x = ([contexts[i] for i in few], [choices[i] for i in few])
                logits = inference.predict_short(
                    self, self.preprocessor.rows(x)
                )
                for i, row in zip(few, softmax(logits)):
                    pairs = zip(choices[i], map(float, row))
                    results[i] = sorted(pairs, key=lambda pair: -pair[1])
        return results[0] if is_one else results

    def check_inputs(self, x):
        to_choices(x)

    def encode_labels(self, x, y):
        _, choices = to_choices(x)
        return LabelEncoder(len(choices[0])).encode(y)

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout}
