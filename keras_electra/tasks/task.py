"""What all tasks share: training and use on data of any form."""

import itertools
import time
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.arguments import check_number
from keras_electra.arguments import known_keywords
from keras_electra.arguments import shows_progress
from keras_electra.backend import replicas
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.batches import Batches
from keras_electra.data.rows import is_rows
from keras_electra.model.adapted import AdaptableModel
from keras_electra.model.adapted import Dense
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.layers import Dropout
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import labels
from keras_electra.training import recipes
from keras_electra.training.fit import FitsExamples
from keras_electra.training.steps import StepMetrics


class ElectraTask(FitsExamples, KeepsArguments, AdaptableModel, SavesPresets):
    """Training and use of a task; mixed in before KerasHub's base class.

    It is called on rows, a dict of int arrays as `ElectraBackbone`.

    Args:
        backbone: `ElectraBackbone`.
        preprocessor: the task's, or `None`, the default, to pass only rows.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.
    """

    backbone_cls = ElectraBackbone
    label_encoder = None  # where there are classes, a `LabelEncoder`
    token_outputs = False  # whether axes of outputs that vary are of tokens
    padded_output: float = 0.0  # what `predict` gives for padding
    unsaved: tuple[str, ...] = ("backbone", "preprocessor")

    def add_logits(self, x, units, dropout, activation=None, hidden=None):
        """Logits of vectors: dropout, `hidden` and dropout again, linear."""
        policy = {"dtype": self.backbone.dtype_policy}
        drop = Dropout(dropout, name="output_dropout", **policy)
        dense = Dense(units, activation, name="logits", **policy)
        self.output_dropout, self.output_dense = drop, dense
        if hidden is not None:
            x = hidden(drop(x))
        return dense(drop(x))

    def default_loss(self) -> keras.losses.Loss:
        """The loss that `compile` sets by default."""
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if self.token_labels:  # a mean over the tokens that have weight
            loss.reduction = "mean_with_sample_weight"
        return loss

    def default_metrics(self) -> list[keras.metrics.Metric] | None:
        """The metrics that `compile` sets by default, a list or `None`."""
        return ["accuracy"]  # whether labels are rows Keras finds out

    @known_keywords(keras.Model.compile)
    def compile(self, optimizer="auto", loss="auto", metrics="auto", **kwargs):
        """`keras.Model.compile`, by default with what suits the task.

        That is an `ElectraAdamW` with a rate for every layer that every `fit`
        begins anew: warm-up and decay to 0 over its epochs and steps, at the
        paper's rate for the size (3e-4 small, 1e-4 base, 5e-5 large), or of
        fewer than 2,000 steps a larger one (small: up to 1e-3). It does not
        decay where a stream does not tell its length, and is constant where a
        callback of Keras sets it or once `optimizer.learning_rate` is set. With
        `initial_epoch` training goes on. `weighted_metrics` for labels of
        tokens.
        """
        if optimizer == "auto":
            optimizer = recipes.FinetuningAdamW(
                recipes.finetuning_rate(self.backbone.hidden_dim),
                weight_decay=0.01,  # `configure_finetuning.py:55`
                # Without, the first updates of a short run are six times as
                # large as these rates mean, and small tasks stay at chance.
                bias_correction=True,
                layer_rates=recipes.layer_rates(self.backbone),
            )
        if loss == "auto":
            loss = self.default_loss()
        if kwargs.get("weighted_metrics") == "auto":
            del kwargs["weighted_metrics"]
        if metrics != "auto":
            kwargs["metrics"] = metrics
        else:
            place = "weighted_metrics" if self.token_labels else "metrics"
            kwargs.setdefault(place, self.default_metrics())
        self.step_metrics: Any = StepMetrics()
        places = kwargs.get("metrics"), kwargs.get("weighted_metrics")
        self.judges_tokens: bool = self.token_labels and all(
            # Other people's metrics may look at whole rows.
            getattr(metric, "__module__", "keras.").startswith("keras.")
            for metric in keras.tree.flatten(places)
        )
        keras.Model.compile(self, optimizer, loss, **kwargs)

    def _begin_fit(self, stream, epochs, initial_epoch, callbacks):
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if not isinstance(optimizer, recipes.FinetuningAdamW):
            return
        steps = stream.steps or 0  # 0: not known
        if not initial_epoch or steps:
            optimizer.restart(initial_epoch * steps)
        width = self.backbone.hidden_dim
        num_steps = steps * epochs or recipes.ENDLESS
        rate = recipes.finetuning_rate(width, num_steps=num_steps)
        run = recipes.PlannedRun(optimizer, rate, num_steps, [*callbacks])
        callbacks.append(run)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Keras' loss. Of several replicas, in training, a share of it."""
        loss = self.loss_of_rows(x, y, y_pred, sample_weight)
        if replicas.count() > 1:
            loss = loss * self._share(y, sample_weight)
        return loss if training else replicas.total(loss)

    def loss_of_rows(self, *data: object) -> object:
        """The loss of rows and outputs, a scalar."""
        return super().compute_loss(*data)

    def _share(self, y, sample_weight):
        """The rows, or weights, of this replica over those of all."""
        losses = map(keras.losses.get, keras.tree.flatten(self.loss))
        kinds = {getattr(loss, "reduction", "mean") for loss in losses}
        if kinds == {"sum"}:
            return 1.0
        own = ops.shape(keras.tree.flatten(y)[0])[0]
        if "mean_with_sample_weight" in kinds and sample_weight is not None:
            own = ops.sum(ops.cast(sample_weight, "float32"))
        if len(kinds) > 1:
            raise ValueError(
                "Losses on several devices must have one `reduction`. "
                f"Received: {sorted(kinds)}."
            )
        own = ops.convert_to_tensor(own, "float32")
        return ops.divide_no_nan(own, replicas.total(own))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        data = y, y_pred, sample_weight
        if self.judges_tokens and all(v is None or v.ndim > 1 for v in data):
            # Flat, or Keras takes the mean of each row: the tokens of long
            # batches would count for less.
            data = [
                v if v is None else ops.reshape(v, (-1, *v.shape[2:]))
                for v in data
            ]
        return super().compute_metrics(x, *data)

    def _weigher(self, class_weight, y=None):
        return labels.weigher(self.label_encoder, class_weight, y)

    def export(
        self,
        filepath: str,
        format: str = "onnx",
        *,
        quantize: str | None = None,
        calibration: object = None,
        validation_data: object = None,
    ) -> None:
        """Writes a folder that other programs run without Keras.

        Graphs of any batch and length in float32, `tokenizer.json`,
        `config.json` (labels, thresholds), `README.md`, and `parity.json`:
        what differs on 300 hard strings.

        Args:
            filepath: path of the folder.
            format: string. `"onnx"`, the default, `"openvino"` and `"torch"`
                (`torch.export`) need PyTorch, `"litert"` and
                `"tf_saved_model"` TensorFlow, on whatever backend this is.
            quantize: `"int8"` adds a graph with eight bits of weights and, by
                onnxruntime, OpenVINO or LiteRT, of activations. By default
                `None`.
            calibration: what `fit` takes as `x`, a few hundred examples, for
                fixed ranges of activations; by default each input has its own.
            validation_data: tuple `(x, y)`. Adds to the report by how much
                decisions and the task's metrics change on it.
        """
        given = dict(quantize=quantize, calibration=calibration)
        given["validation_data"] = validation_data
        self._export("graph", filepath, format=format, **given)

    def read_inputs(self, x, method, check=None, abstain_below=0.0):
        """`(columns, is_one)` of one example, or of what `fit` takes."""
        check_number("abstain_below", abstain_below, at_least=0)
        if self.preprocessor is None:
            raise ValueError(f"`{method}` needs a `preprocessor`, not None.")
        parts = x if isinstance(x, tuple) else (x,)
        is_one = bool(parts) and all(map(inputs.is_text, parts))
        if is_one:
            x = inputs.map_columns(lambda text: [text], x)
        x = self._read(x)
        is_stream = not isinstance(x, inputs.Examples)
        x = streams.read_all(x, self.names) if is_stream else x.x
        (check or self.check_inputs)(x)
        inputs.warn_of_empty(inputs.find_empty(x))
        return x, is_one

    @known_keywords()
    def predict(
        self,
        x: object = None,
        batch_size: int | None = None,
        verbose: object = "auto",
        steps: int | None = None,
        callbacks: object = None,
    ) -> Any:
        """The network's outputs, an array or a dict of arrays.

        Takes what `fit` takes; labels are left out, the order stays. An axis of
        tokens has `sequence_length`, padding 0 (masked logits: -1000).
        """
        source, empty = self._read(x), []

        def prepare(x, *labels):
            empty.extend(inputs.find_empty(x))
            return self._to_rows(x)

        if isinstance(source, inputs.Examples):
            if steps is not None:
                places = slice(steps * inputs.checked_size(batch_size))
                source = source.part(places)
            empty = inputs.find_empty(source.x)
            rows = self._memory_rows(inputs.Examples(source.x))
        else:
            given = source, self.names, batch_size, prepare
            stream = streams.StreamBatches(*given)
            rows = self._rows(itertools.islice(stream, steps))
        inputs.warn_of_empty(empty)
        width = rows.width
        if not is_rows(x):
            width = getattr(self.preprocessor, "sequence_length", width)

        def join(spec, *parts):
            """One array, padded: of tokens to `width`, others as need be."""
            least = [width if n is None else n for n in spec.shape[1:]]
            if parts and not self.token_outputs:
                least = parts[0].shape
            shape = np.max([least, *(part.shape for part in parts)], axis=0)
            dtype = parts[0].dtype if parts else spec.dtype
            whole = np.zeros((len(parts), *shape.astype(int)), dtype)
            if self.padded_output:
                whole.fill(self.padded_output)
            for place, part in enumerate(parts):
                whole[(place, *map(slice, part.shape))] = part
            return whole

        outputs = self._predict(rows, batch_size, verbose, callbacks)
        return keras.tree.map_structure(join, self.output, *outputs)

    def predict_rows(self, rows: Any, batch_size: int | None = None) -> Any:
        """A list of the network's outputs for each row, nested arrays.

        Takes a dict of rows, or checked columns. Those of alike length are
        computed together; an axis of tokens is at least as long as the row.
        """
        return self._predict(
            self._memory_rows(inputs.Examples(rows)), batch_size
        )

    def _predict(self, rows, batch_size, verbose=None, callbacks=None):
        """A list of the network's outputs of each row, if nothing stops it."""
        if not len(rows):
            return []
        size = inputs.checked_size(batch_size)
        batches = Batches(rows, size, "by_length", finish=self.finish_batch)
        if callbacks or verbose:  # which start a thread
            callbacks = keras.callbacks.CallbackList(
                callbacks,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=1,
                steps=len(batches),
                model=self,
            )

        found = {}

        def tell(event, *args):
            if callbacks:
                getattr(callbacks, f"on_predict_{event}")(*args)

        start, bar = time.monotonic(), keras.utils.Progbar(len(batches))
        # Where nobody said whether, in a terminal, after 3 seconds.
        shows = verbose is None and shows_progress()
        self.stop_predicting = False
        tell("begin")
        for step in range(len(batches)):
            tell("batch_begin", step)
            batch = batches.own_batch(step)
            x, *_ = keras.utils.unpack_x_y_sample_weight(batch)
            # Keras' own method: KerasHub's would run the preprocessor.
            outputs = keras.Model.predict_on_batch(self, replicas.spread(x))
            for i, place in enumerate(batches.indices(step).tolist()):
                found[place] = keras.tree.map_structure(
                    lambda array: array[i], outputs
                )
            tell("batch_end", step, {"outputs": outputs})
            if shows and time.monotonic() > start + 3:
                bar.update(step + 1)
            if self.stop_predicting:
                break
        tell("end")
        return [found[place] for place in sorted(found)]
