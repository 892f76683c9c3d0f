"""How the pre-trainer is compiled, gets its data, and is watched."""

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import known_keywords
from keras_electra.backend import TrainStep
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.rows import is_rows
from keras_electra.model.sizes import closest_size
from keras_electra.pretraining.losses import StopOnSkippedSteps
from keras_electra.training.fit import TEXT_COLUMNS
from keras_electra.training.fit import FitsExamples
from keras_electra.training.optimizers import global_norm
from keras_electra.training.recipes import pretraining_optimizer


class PretrainingFit(TrainStep, FitsExamples):
    """`compile`, data and metrics of `ElectraPretrainer`."""

    names = inputs.Names(TEXT_COLUMNS, labels=())
    max_skipped_steps = 25

    @known_keywords(keras.Model.compile)
    def compile(
        self, optimizer="auto", generator_optimizer=None, loss=None, **kwargs
    ):
        """Configures the training; `loss` must be `None`.

        Args:
            optimizer: `keras.optimizers.Optimizer`, or `"auto"`, the default,
                for `keras_electra.pretraining_optimizer` of the size that
                comes closest, for as many steps as `fit` will take.
            generator_optimizer: `keras.optimizers.Optimizer` or `None`, for
                weights that only the generator has. Each clips its own.
            **kwargs: of `keras.Model.compile`, such as `jit_compile`.
        """
        if loss is not None:
            raise ValueError(
                "`loss` must be `None`: the pre-trainer has its own losses. "
                f"Received: loss={loss!r}."
            )
        self._compile_kwargs, self._compile_auto = kwargs, None
        if optimizer == "auto":
            # A function, as Keras would save an optimizer twice.
            self._compile_auto = lambda steps: self.compile(
                self._recipe(steps), generator_optimizer, **kwargs
            )
            optimizer = self._recipe()
        if generator_optimizer is not None:
            if self.generator is None or self.generator is self.backbone:
                raise ValueError(
                    "`generator_optimizer` needs a generator of its own."
                )
            others = keras.optimizers.get(generator_optimizer)
            by_path = keras.optimizers.OptimizerMap(
                keras.optimizers.get(optimizer),
                {"(generator|generator_head)/.*": others},
            )
            optimizer = keras.optimizers.MultiOptimizer(by_path)
        super().compile(optimizer=optimizer, loss=None, **kwargs)

    def get_compile_config(self):
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {"optimizer": optimizer, **self._compile_kwargs}

    def _recipe(self, num_steps=None):
        """The optimizer of the size that comes closest."""
        width, depth = self.backbone.hidden_dim, self.backbone.num_layers
        return pretraining_optimizer(closest_size(width, depth), num_steps)

    # What there is to train on; see `FitsExamples`.

    def needs_labels(self, x):
        return False

    def check_inputs(self, x):
        inputs.check_texts(x, may_be_empty=True)

    def _read(self, x, y=None, sample_weight=None):
        reject_labels(y=y, sample_weight=sample_weight)
        return super()._read(x)

    def _stream(self, examples, size, order, steps, class_weight=None, *args):
        reject_labels(class_weight=class_weight)
        if hasattr(examples, "endless"):  # it knows the batch at any position
            return streams.Stream(examples, steps)
        return super()._stream(examples, size, order, steps, None, *args)

    def _pack(self, x, y=None, sample_weight=None):
        reject_labels(y=y, sample_weight=sample_weight)
        x, _, _ = super()._pack(x, None, None)
        return check_ids(x, self.backbone.vocabulary_size), None, None

    def preprocess_samples(self, x, y=None, sample_weight=None):
        if not is_rows(x):
            self._require_preprocessor(x)
            x = self.preprocessor(x, y=None)
        return check_ids(x, self.backbone.vocabulary_size)

    def _begin_fit(self, stream, epochs):
        is_new = self._compile_auto and not self.optimizer.built
        if is_new and stream.steps is not None:
            self._compile_auto(stream.steps * epochs)
        return [StopOnSkippedSteps(self.max_skipped_steps)]

    # What is reported.

    @known_keywords(FitsExamples.evaluate)
    def evaluate(self, *args, **kwargs):
        """Reports loss and metrics, masked the same way every time."""
        self.mask_tokens.restart_evaluation()
        self.sample_tokens.restart_evaluation()
        return super().evaluate(*args, **kwargs)

    def get_metrics_result(self):
        # Those of gradients are reported by the training step alone.
        results = super().get_metrics_result()
        names = {metric.name for metric in self.pretraining_metrics.gradients}
        return {n: value for n, value in results.items() if n not in names}

    @property
    def metrics(self):
        return super().metrics + self.pretraining_metrics.all

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.pretraining_metrics.update(x["padding_mask"], y_pred)
        return self.get_metrics_result()

    # What the training steps of all backends do alike.

    def finish_step(self, x, outputs, loss, norms, finite):
        """Updates the metrics; returns their values."""
        rows = ops.shape(x["token_ids"])[0]
        self._loss_tracker.update_state(loss, sample_weight=rows)
        results = self.pretraining_metrics.update_gradients(*norms, finite)
        return {**self.compute_metrics(x, None, outputs), **results}

    def scales_loss(self):
        """Whether the optimizer scales the loss, as it does for float16."""
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def gradient_norms(self, gradients, scaled_loss, loss):
        """Norms of the gradients: of all, and of the generator's own weights.

        `gradients` are those of the scaled loss, the norms, float32, the loss'.
        """
        own, others = [], []
        for gradient, variable in zip(gradients, self.trainable_variables):
            is_own = variable.path.startswith(("generator/", "generator_head/"))
            (own if is_own else others).append(gradient)
        scale = ops.where(loss == 0, 1.0, loss / scaled_loss)
        norm = global_norm(others) * scale
        own_norm = global_norm(own) * scale if own else 0.0 * norm
        return ops.sqrt(norm**2 + own_norm**2), own_norm


def reject_labels(**arguments):
    """Raises when an argument that weights or labels examples is given."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` means nothing in pre-training: labels and weights "
                f"come from the text. Received: {name}={type(value).__name__}."
            )


def check_ids(x, vocabulary_size):
    """Raises unless a dict of int arrays `(batch, length)` is a batch of rows.

    Tensors, which may be of a graph, are not looked into.
    """
    missing = {"token_ids", "segment_ids", "padding_mask"} - set(x)
    if missing:
        raise ValueError(
            "`x` must hold `token_ids`, `segment_ids` and `padding_mask`. "
            f"Received: {sorted(x)}, without {sorted(missing)}."
        )
    ids = x["token_ids"]
    if isinstance(ids, np.ndarray) and ids.size:
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocabulary_size:
            raise ValueError(
                f"`token_ids` must be from 0 to {vocabulary_size - 1}. They "
                f"are from {low} to {high}. Use the network's tokenizer."
            )
    return x
