"""What preprocessors share that make rows in Python."""

import keras
import keras_hub

from keras_electra.arguments import check_count
from keras_electra.arguments import keyword_names
from keras_electra.arguments import reject_unknown
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
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, a tuple of two of either (pairs), or
            a dict of arrays that is packed already and stays as it is. A
            tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: labels or `None`.
        sample_weight: weights of the labels or `None`.

    Returns:
        A dict of int32 arrays of shape `(batch, sequence_length)`:
        `token_ids`, `segment_ids` and `padding_mask`; a tuple with `y` and
        `sample_weight` if they are given.

    Attributes:
        makes_labels: bool. Whether labels and weights come from `rows`;
            otherwise a call passes them on as they are.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer
    makes_labels = False
    truncate = "round_robin"

    def __init__(self, tokenizer, sequence_length=512, **kwargs):
        known = keyword_names(type(self).__init__)
        known += keyword_names(keras.layers.Layer.__init__)
        reject_unknown(type(self).__name__, kwargs, [*known, "config_file"])
        check_count("sequence_length", sequence_length, at_least=3)
        base = super().__init__
        if "tokenizer" in keyword_names(base):  # KerasHub's for this task
            kwargs.update(tokenizer=tokenizer, sequence_length=sequence_length)
        base(**kwargs)
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
        if self.makes_labels:
            y = [y] if is_one and y is not None else y
            data = (x, y, sample_weight)
            spec = self.output_spec(y, sample_weight is not None)
            return run_in_python(self._whole_rows, data, spec)
        data = run_in_python(self._whole_rows, (x,), self.output_spec())
        if is_one:
            data = keras.tree.map_structure(lambda array: array[0], data)
        if isinstance(data, tuple):  # with labels, made of the texts alone
            return data
        return keras.utils.pack_x_y_sample_weight(data, y, sample_weight)

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
        for name in keyword_names(type(self).__init__):
            if name != "tokenizer":
                config[name] = getattr(self, name)
        return config
