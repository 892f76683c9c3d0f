"""How the pre-trainer is compiled, gets its data, and is watched."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import check_option
from keras_electra.arguments import known_keywords
from keras_electra.backend import replicas
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.batches import own_part
from keras_electra.model.sizes import closest_size
from keras_electra.pretraining.masking import find_candidates
from keras_electra.pretraining.sampling import SeededLayer
from keras_electra.training.fit import TEXT_COLUMNS
from keras_electra.training.fit import FitsExamples
from keras_electra.training.recipes import pretraining_optimizer


class PretrainingFit(FitsExamples):
    """`compile`, data and metrics of `ElectraPretrainer`."""

    names = inputs.Names(TEXT_COLUMNS, labels=())
    may_be_empty = True

    @known_keywords(keras.Model.compile)
    def compile(
        self, optimizer="auto", generator_optimizer=None, loss=None, **kwargs
    ):
        """Configures the training; `loss` must be `None`.

        Args:
            optimizer: `keras.optimizers.Optimizer`, or by default that of
                `pretraining_optimizer` for the closest size and `fit`'s steps.
            generator_optimizer: `keras.optimizers.Optimizer` or `None`, for
                weights that only the generator has. Each clips its own.
            **kwargs: of `keras.Model.compile`, such as `jit_compile`.
        """
        if loss is not None:
            raise ValueError(
                "`loss` must be `None`: the pre-trainer has its own. Received: "
                f"{loss!r}."
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
            if getattr(self, "disentangled", None) is not None:
                raise ValueError(
                    '`share_embeddings="gdes"` is for one optimizer, after '
                    "which the tables are added. Received another one."
                )
            others = keras.optimizers.get(generator_optimizer)
            by_path = keras.optimizers.OptimizerMap(
                keras.optimizers.get(optimizer),
                {"(generator|generator_head)/.*": others},
            )
            optimizer = keras.optimizers.MultiOptimizer(by_path)
        super().compile(optimizer=optimizer, loss=None, **kwargs)

    def get_compile_config(self) -> dict[str, object] | None:
        if not self.compiled:
            return None
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {"optimizer": optimizer, **self._compile_kwargs}

    def _recipe(self, num_steps=None):
        """The optimizer of the size that comes closest."""
        sizes = self.backbone.hidden_dim, self.backbone.num_layers
        return pretraining_optimizer(closest_size(*sizes), num_steps)

    def needs_labels(self, x: object) -> bool:
        return False

    def _weigher(self, class_weight, y=None):
        reject_labels(class_weight=class_weight)
        return super()._weigher(class_weight)

    def _stream(self, examples, size, order, steps, weights=None, *args):
        if hasattr(examples, "endless"):  # it knows the batch at any position
            self._weigher(weights)
            return streams.Stream(examples, steps)
        return super()._stream(examples, size, order, steps, weights, *args)

    def _pack(self, x, y=None, sample_weight=None):
        reject_labels(y=y, sample_weight=sample_weight)
        x, _, _ = super()._pack(x, None, None)
        return check_ids(x, self.backbone.vocabulary_size), None, None

    def _begin_fit(self, stream, epochs, *others):
        if getattr(self, "disentangled", None) is not None:
            self.disentangled.follow()
        is_new = self._compile_auto and not self.optimizer.built
        if is_new and stream.steps is not None:
            self._compile_auto(stream.steps * epochs)

    @known_keywords(FitsExamples.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Reports loss and metrics, masked the same way every time."""
        for layer in self._flatten_layers():
            if isinstance(layer, SeededLayer):
                layer.restart_evaluation()
        return super().evaluate(*args, **kwargs)

    @known_keywords(keras.Model.predict)
    def predict(
        self, x: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Outputs for texts or rows, as of `keras.Model.predict`."""
        if replicas.devices() == 1:
            return super().predict(x, batch_size, **kwargs)
        x, size = self._read(x), inputs.checked_size(batch_size)
        is_stream = not isinstance(x, inputs.Examples)
        x = streams.read_all(x, self.names) if is_stream else x.x
        rows, _, _ = self._to_rows(x)
        starts = range(0, len(rows["token_ids"]), size)
        steps = kwargs.pop("steps", None) or len(starts)
        # Keras would not fill up the last one, for all to have equally many.
        batches = (
            (own_part({n: a[i : i + size] for n, a in rows.items()}),)
            for i in starts
        )
        kwargs["steps"] = min(steps, len(starts))
        return keras.Model.predict(self, batches, **kwargs)

    def score(self, x: Any, batch_size: int | None = 32) -> Any:
        """Pseudo-log-likelihoods of Electric, float32 `(rows,)`, in nats.

        Of rows, or texts: the sum over all tokens, in one pass (Clark et al.
        2020, section 2.5); it compares texts of the same length.
        """
        own = getattr(self, "objective", None)
        check_option("objective", own, ["electric"])
        rows, _, _ = self._pack(x)
        energies = discriminator_of(self).predict(rows, batch_size, verbose=0)
        given = rows["token_ids"], rows["padding_mask"]
        used = find_candidates(*given, self.unselectable_token_ids)
        used = ops.convert_to_numpy(used)
        return -(energies.astype("float32") * used).sum(axis=1)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.step_metrics.update(self.judged(x, y_pred), y_pred)
        return self.get_metrics_result()

    def gradient_norms(self, gradients, scaled_loss, loss):
        """Norms of all gradients, and of those of the generator's weights."""
        parts, names = ([], []), ("generator/", "generator_head/")
        for gradient, variable in zip(gradients, self.trainable_variables):
            parts[variable.path.startswith(names)].append(gradient)
        norm, own_norm = (
            super(PretrainingFit, self).gradient_norms(p, scaled_loss, loss)[0]
            if p
            else 0.0
            for p in parts
        )
        return ops.sqrt(norm**2 + own_norm**2), own_norm


def discriminator_of(pretrainer: Any) -> keras.Model:
    """The model from rows to scores of their tokens as they are."""
    x = pretrainer.backbone.output["sequence_output"]
    x = pretrainer.discriminator_head(x)
    return keras.Model(pretrainer.backbone.input, x)


def reject_labels(**arguments: Any) -> None:
    """Raises when an argument that weights or labels examples is given."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` means nothing in pre-training: labels and weights "
                f"come from the text. Received: {name}={type(value).__name__}."
            )


def check_ids(x: Any, vocabulary_size: int) -> Any:
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
