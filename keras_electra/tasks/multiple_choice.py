"""Which of several texts goes best with a context? (B batch, C choices)"""

from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_electra.data import inputs
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import is_rows
from keras_electra.model.layers import dense
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.task import ElectraTask

SWAG = ("sent1", "ending0", "ending1", "ending2", "ending3")


def to_choices(x: Any) -> tuple[Any, ...]:
    """Columns of contexts and of as many choices for each, checked."""
    if not isinstance(x, tuple) or len(x) < 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(contexts, choices)`. "
            f"Received: {type(x).__name__}."
        )
    contexts, choices = x[0], x[1] if len(x) == 2 else x[1:]
    if isinstance(choices, tuple):
        choices = map(list, zip(*choices, strict=True))
    choices = [c if isinstance(c, list) else [c] for c in choices]
    counts = sorted(set(map(len, choices)))
    if len(contexts) != len(choices) or len(counts) != 1 or counts[0] < 2:
        raise ValueError(
            "`x` must hold contexts, and for each the same number of choices, "
            f"at least 2. Received: {len(contexts)} contexts, {len(choices)} "
            f"lists of choices of the lengths {counts}."
        )
    inputs.check_texts((contexts, *zip(*choices)), ("contexts", "choices"))
    return contexts, choices


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoicePreprocessor(RowPreprocessor):
    """Rows `[CLS] context [SEP] choice [SEP]`; the longer text is shortened.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
    """

    def rows(self, x, y=None, sample_weight=None, length=None):
        contexts, choices = to_choices(x)
        count = len(choices[0])
        first = [context for context in contexts for _ in range(count)]
        second = [text for texts in choices for text in texts]
        x = super().rows((first, second), length=length)
        x = {n: rows.reshape(-1, count, rows.shape[1]) for n, rows in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


@keras.saving.register_keras_serializable(package="keras_electra")
class ReshapeChoices(keras.layers.Layer):
    """`(B, C, L)` to `(B * C, L)`; scores `(B * C, 1)` to those of `like`."""

    def call(self, x: Any, like: Any = None) -> Any:
        width = ops.shape(x)[2] if like is None else ops.shape(like)[1]
        return ops.reshape(x, (-1, width))


def choice_inputs(*others: Any) -> tuple[Any, ...]:
    """Inputs `(B, C, L)` by name, and of the network those as `(B * C, L)`."""
    fields = {
        name: keras.Input((None, None), dtype="int32", name=name)
        for name in (*inputs.NAMES, *others)
    }
    flat = {
        name: ReshapeChoices(name=f"flatten_{name}")(fields[name])
        for name in inputs.NAMES
    }
    return fields, flat


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoice(ElectraTask, keras_hub.models.Task):
    """Chooses the best continuation or answer for a context.

    Inputs are a tuple of contexts and of lists of choices, or columns of
    choices (or rows `(batch, choices, length)`); labels are numbers of choices,
    from 0; outputs are logits `(batch, choices)`. The head is transformers'.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        dropout: float. Share of the vectors dropped. Defaults to `0.1`.

    ```python
    chooser = keras_electra.ElectraMultipleChoice.from_preset("electra_tiny_en")
    chooser.fit((contexts, choices), labels, batch_size=32, epochs=3)
    chooser.choose("It rains.", ["Take a hat.", "Take a boat."])
    ```
    """

    preprocessor_cls = ElectraMultipleChoicePreprocessor
    names = inputs.Names(
        (("context", "choices"), ("question", "choices"), SWAG),
        # Rows of one example are `(choices, length)`.
        example=lambda x, y: is_rows(x) and np.ndim(x["token_ids"]) == 2,
    )

    def __init__(self, backbone, preprocessor=None, dropout=0.1, **kwargs):
        self.keep_arguments(locals())
        width = backbone.hidden_dim
        self.hidden_dense = dense(backbone, width, "hidden_dense", "gelu")
        fields, flat = choice_inputs()
        x = backbone(flat)["sequence_output"][:, 0, :]  # (B * C, D)
        x = self.add_logits(self.hidden_dense(x), 1, dropout)
        scores = ReshapeChoices(dtype=backbone.dtype_policy, name="scores")
        outputs = scores(x, fields["token_ids"])  # (B, C)
        super().__init__(inputs=fields, outputs=outputs, **kwargs)

    def choose(self, contexts, choices=None, batch_size=8):
        """Pairs `(choice, probability)` of a context, most probable first.

        For several contexts, with choices of any number each, or what `fit`
        takes, a list of such lists.
        """
        is_one = inputs.is_text(contexts)
        x = ([contexts], [choices]) if is_one else (contexts, choices)
        x = contexts if choices is None else x
        # Checked below, as many choices at a time.
        x, _ = self.read_inputs(x, "choose", check=lambda x: None)
        contexts, choices = to_choices(x) if choices is None else x
        results = [None] * len(contexts)
        for count in set(map(len, choices)):
            # Equally many choices at a time: they are one array.
            few = [i for i, texts in enumerate(choices) if len(texts) == count]
            x = ([contexts[i] for i in few], [choices[i] for i in few])
            self.check_inputs(x)
            for i, logits in zip(few, self.predict_rows(x, batch_size)):
                pairs = zip(choices[i], softmax(logits).tolist())
                results[i] = sorted(pairs, key=lambda pair: -pair[1])
        return results[0] if is_one else results

    def check_inputs(self, x: object) -> None:
        to_choices(x)

    def encode_labels(self, x: object, y: object) -> object:
        _, choices = to_choices(x)
        return LabelEncoder(len(choices[0])).encode(y, self.loss)
