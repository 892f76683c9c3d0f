"""What preprocessors share that make rows in Python."""

import keras
import keras_hub

from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.in_graph import run_in_python
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import text_rows
from keras_electra.text.preprocessor import add_sequence_length
from keras_electra.text.tokenizer import ElectraTokenizer


class RowPreprocessor(OpensPresets, keras_hub.models.Preprocessor):
    """Turns batches of raw data into rows; for one kind of task each.

    Here these are texts and pairs of texts; a subclass for other inputs has
    its own `rows`.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        **kwargs: arguments of the base class.

    Attributes:
        makes_labels: bool. Whether labels and weights come from `rows`;
            otherwise a call passes them on as they are.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer
    makes_labels = False
    truncate = "round_robin"

    def __init__(self, tokenizer, sequence_length=512, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True

    def call(self, x, y=None, sample_weight=None):
        if isinstance(x, dict) and "token_ids" in x:
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        first = x[0] if isinstance(x, tuple) else x
        is_one = inputs.is_text(first) or getattr(first, "shape", 0) == ()
        if is_one:
            x = tuple([part] for part in x) if isinstance(x, tuple) else [x]
        kept = (None, None)
        if not self.makes_labels:
            kept, y, sample_weight = (y, sample_weight), None, None
        elif is_one and y is not None:
            y = [y]
        data = run_in_python(
            self._whole_rows,
            (x, y, sample_weight),
            self.output_spec(y, sample_weight is not None),
        )
        if self.makes_labels:
            return data
        if is_one:
            data = keras.tree.map_structure(lambda array: array[0], data)
        if isinstance(data, tuple):  # labels that need no labels
            return data
        return keras.utils.pack_x_y_sample_weight(data, *kept)

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Checked columns to rows.

        Args:
            x, y, sample_weight: columns, as `data/inputs.py` makes them.
            length: int. Defaults to `None`: as long as the longest row.

        Returns:
            What `keras.utils.pack_x_y_sample_weight` makes of them.
        """
        parts = x if isinstance(x, tuple) else (x,)
        ids = [self.tokenizer.encode_batch(part) for part in parts]
        x = text_rows(
            ids[0],
            ids[1] if len(ids) > 1 else None,
            self.tokenizer,
            self.sequence_length,
            self.truncate,
            length,
        )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _whole_rows(self, *data):
        """What `call` returns: rows of full length, of any columns."""
        data = inputs.map_columns(inputs.to_column, data)
        return self.rows(*data, length=self.sequence_length)

    def output_spec(self, y=None, weighted=False):
        """What rows become, with a `keras.KerasTensor` for each array."""
        return rows_spec(self.sequence_length, NAMES)

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )

    def get_config(self):
        config = super().get_config()
        config["sequence_length"] = self.sequence_length
        return config
