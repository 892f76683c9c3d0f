"""Which of several texts goes best with a context?

Shapes: B batch, C choices, L length, D hidden.
"""

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.transformer import exact_gelu
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.labels import takes_rows
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import RowPreprocessor
from keras_electra.tasks.rows import text_rows
from keras_electra.tasks.task import ElectraTask


def to_choices(x):
    """Columns of contexts and of as many choices for each, checked."""
    if not isinstance(x, tuple) or len(x) < 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(contexts, choices)`, with a "
            f"list of choices for each context. Received: {type(x).__name__}."
        )
    contexts, choices = x[0], x[1] if len(x) == 2 else x[1:]
    if isinstance(choices, tuple):
        choices = [list(texts) for texts in zip(*choices, strict=True)]
    choices = [c if isinstance(c, list) else [c] for c in choices]
    counts = sorted({len(texts) for texts in choices})
    if len(contexts) != len(choices) or len(counts) != 1 or counts[0] < 2:
        raise ValueError(
            "`x` must hold at least one context, and for each the same number "
            f"of choices, at least 2. Received: {len(contexts)} contexts, "
            f"{len(choices)} lists of choices of the lengths {counts}."
        )
    inputs.check_texts((contexts, *zip(*choices)), ("contexts", "choices"))
    return contexts, choices


def is_example(x, y):
    """Whether rows are of one example: `(choices, length)`."""
    return isinstance(x, dict) and np.ndim(x["token_ids"]) == 2


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoicePreprocessor(RowPreprocessor):
    """Turns a context and each of its choices into a row.

    A row is `[CLS] context [SEP] choice [SEP]`; of the two the longer is
    shortened.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.

    Call arguments:
        x: tuple of a column of strings, the contexts, and a column of lists
            of equally many choices (or an array of shape `(batch, choices)`,
            or a tuple of columns, one a choice).
        y: numbers of the right choices, from 0, or `None`.
        sample_weight: weights of the examples, or `None`.

    Returns:
        A dict of rows of shape `(batch, choices, sequence_length)`; a tuple
        with `y` and `sample_weight` if they are given.
    """

    middle_axes = (None,)

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Rows as long as the longest, or `length`; see the class."""
        contexts, choices = to_choices(x)
        ids = self.tokenizer.encode_batch(contexts)
        first = [row for row, texts in zip(ids, choices) for _ in texts]
        second = self.tokenizer.encode_batch(
            [text for texts in choices for text in texts]
        )
        x = text_rows(
            first, second, self.tokenizer, self.sequence_length, length=length
        )
        shape = (len(choices), len(choices[0]), x["token_ids"].shape[-1])
        x = {name: array.reshape(shape) for name, array in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


@keras.saving.register_keras_serializable(package="keras_electra")
class FlattenChoices(keras.layers.Layer):
    """`(B, C, L)` to `(B * C, L)`."""

    def call(self, x):
        return ops.reshape(x, (-1, ops.shape(x)[2]))


@keras.saving.register_keras_serializable(package="keras_electra")
class UnflattenChoices(keras.layers.Layer):
    """Scores `(B * C, 1)` to `(B, C)`, with the inputs for the number."""

    def call(self, scores, x):
        return ops.reshape(scores, (-1, ops.shape(x)[1]))


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoice(ElectraTask, SavesPresets, keras_hub.models.Task):
    """Chooses the best continuation or answer for a context.

    `fit`, `evaluate` and `predict` take a tuple `(contexts, choices)` with a
    list of choices for each context; labels are the numbers of the right
    ones, from 0.

    The original has no such task; the head is that of transformers' package:
    a dense layer with GELU on the vector of `[CLS]`, dropout, one output.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        dropout: float. Share of the vectors that is dropped. Defaults to
            `0.1`.

    Call arguments:
        A dict of rows of shape `(batch, choices, length)`.

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
    names = inputs.Names(
        (
            ("context", "choices"),
            ("question", "choices"),
            ("sent1", "ending0", "ending1", "ending2", "ending3"),
        ),
        example=is_example,
    )

    @known_keywords("name", "compile", "dtype", "trainable")
    def __init__(self, backbone, preprocessor=None, dropout=0.1, **kwargs):
        # === Layers ===
        policy = {"dtype": backbone.dtype_policy}
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.hidden_dense = keras.layers.Dense(
            backbone.hidden_dim,
            activation=exact_gelu,
            kernel_initializer=keras.initializers.TruncatedNormal(
                stddev=backbone.initializer_range
            ),
            name="hidden_dense",
            **policy,
        )
        self.output_dropout = keras.layers.Dropout(
            dropout, name="output_dropout", **policy
        )
        self.output_dense = keras.layers.Dense(1, name="logits", **policy)

        # === Functional Model ===
        inputs = {
            name: keras.Input(shape=(None, None), dtype="int32", name=name)
            for name in NAMES
        }
        flat = {
            name: FlattenChoices(name=f"flatten_{name}")(x)
            for name, x in inputs.items()
        }
        x = backbone(flat)["sequence_output"][:, 0, :]  # (B * C, D)
        x = self.output_dense(self.output_dropout(self.hidden_dense(x)))
        outputs = UnflattenChoices(name="unflatten", **policy)(
            x, inputs["token_ids"]
        )  # (B, C)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout

    def default_loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def default_metrics(self, loss):
        if takes_rows(loss):
            return [keras.metrics.CategoricalAccuracy("accuracy")]
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]

    def choose(self, contexts, choices=None, batch_size=8):
        """Ranks the choices of contexts.

        Args:
            contexts: string, or a column of strings; or any of the inputs
                that `fit` takes, with the choices.
            choices: list of strings, for several contexts a column of such
                lists, which may differ in length; `None` where `contexts`
                holds them.
            batch_size: int. Contexts computed together. Defaults to `8`.

        Returns:
            For a string a list of pairs `(choice, probability)`, most
            probable first; for a list of strings a list of these.
        """
        is_one = inputs.is_text(contexts)
        if is_one:
            contexts, choices = [contexts], [choices]
        elif choices is None:
            x, _ = self.read_inputs(contexts, "choose")
            contexts, choices = to_choices(x)
        contexts, choices = map(inputs.to_column, (contexts, choices))
        if len(choices) != len(contexts):
            raise ValueError(
                "`choices` must hold one list of choices a context. Received: "
                f"{len(contexts)} contexts and {len(choices)} lists."
            )
        results = [None] * len(contexts)
        for count in {len(texts) for texts in choices}:
            # Equally many choices at a time: they are one array.
            few = [i for i, texts in enumerate(choices) if len(texts) == count]
            x = ([contexts[i] for i in few], [choices[i] for i in few])
            x, _ = self.read_inputs(x, "choose")
            for i, logits in zip(few, self.predict_rows(x, batch_size)):
                probabilities = softmax(np.asarray(logits, "float32"))
                pairs = zip(choices[i], map(float, probabilities))
                results[i] = sorted(pairs, key=lambda pair: -pair[1])
        return results[0] if is_one else results

    def check_inputs(self, x):
        to_choices(x)

    def encode_labels(self, x, y):
        _, choices = to_choices(x)
        return LabelEncoder(len(choices[0])).encode(y, self.loss)
