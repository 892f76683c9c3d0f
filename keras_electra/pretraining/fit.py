"""How the pre-trainer is compiled, fitted and evaluated.

Where no optimizer is given, `fit` takes the recipe's, stretched to the length
of the run; evaluation draws the same masks every time; and arguments that mean
nothing here are errors.
"""

import contextlib
import functools

import keras
from keras import ops

from keras_electra.arguments import known_keywords
from keras_electra.backend import TrainStep
from keras_electra.model.sizes import closest_size
from keras_electra.pretraining.inputs import check_ids
from keras_electra.pretraining.inputs import read
from keras_electra.pretraining.inputs import reject_labels
from keras_electra.pretraining.inputs import to_batches
from keras_electra.pretraining.metrics import StopOnSkippedSteps
from keras_electra.training.fit import FitsExamples
from keras_electra.training.optimizers import global_norm
from keras_electra.training.recipes import pretraining_optimizer


class PretrainingFit(TrainStep, FitsExamples):
    """`compile`, data and metrics of `ElectraPretrainer`."""

    max_skipped_steps = 25
    _evaluating = False

    @known_keywords(keras.Model.compile)
    def compile(
        self, optimizer="auto", generator_optimizer=None, loss=None, **kwargs
    ):
        """Configures the training.

        Args:
            optimizer: `keras.optimizers.Optimizer`, or `"auto"` for the
                recipe of the size that comes closest
                (`keras_electra.pretraining_optimizer`), whose schedule is set
                to the length of the run when `fit` is called. Defaults to
                `"auto"`.
            generator_optimizer: `keras.optimizers.Optimizer` or `None`. An
                optimizer of their own for the weights that only the generator
                has; shared embeddings stay with `optimizer`. Each clips the
                gradients of its own weights. Defaults to `None`.
            loss: must be `None`: the objective brings its losses.
            **kwargs: `jit_compile`, `steps_per_execution`, `run_eagerly`,
                `auto_scale_loss` and the like of `keras.Model.compile`.

        Raises:
            ValueError: when a `loss` is given, or `generator_optimizer`
                without a generator of its own.
        """
        if loss is not None:
            raise ValueError(
                "`loss` must be `None`: the pre-trainer computes its own "
                f"losses. Received: loss={loss!r}. Set `generator_weight` and "
                "`discriminator_weight` of the pre-trainer instead."
            )
        self._auto_optimizer = optimizer == "auto"
        self._compile_kwargs = kwargs
        # Not the optimizer itself, which Keras would save twice.
        self._compile_with = functools.partial(
            self.compile, generator_optimizer=generator_optimizer, **kwargs
        )
        if self._auto_optimizer:
            optimizer = pretraining_optimizer(self._recipe())
        if generator_optimizer is not None:
            optimizer = self._split_optimizer(
                keras.optimizers.get(optimizer),
                keras.optimizers.get(generator_optimizer),
            )
        super().compile(optimizer=optimizer, loss=None, **kwargs)

    def get_compile_config(self):
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {"optimizer": optimizer, **self._compile_kwargs}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        # So that the slots of a saved optimizer find their place.
        self.optimizer.build(self.trainable_variables)

    def _split_optimizer(self, optimizer, generator_optimizer):
        if self.generator is None or self.generator is self.backbone:
            raise ValueError(
                "`generator_optimizer` needs a generator with weights of its "
                "own. This pre-trainer has none."
            )
        by_path = keras.optimizers.OptimizerMap(
            optimizer,
            {"(generator|generator_head)/.*": generator_optimizer},
        )
        return keras.optimizers.MultiOptimizer(by_path)

    def _read(self, x, y=None, sample_weight=None):
        reject_labels(y=y, sample_weight=sample_weight)
        return read(x)

    def _read_validation(self, data):
        if isinstance(data, tuple) and len(data) == 1:
            (data,) = data
        return read(data)  # a tuple is of columns, as there are no labels

    def _source(
        self,
        examples,
        batch_size,
        order,
        class_weight=None,
        steps=None,
        remember=True,
    ):
        reject_labels(class_weight=class_weight)
        return to_batches(
            examples, self._to_rows, batch_size, order, steps, remember
        )

    def _begin_fit(self, stream, epochs):
        if self._auto_optimizer and not self.optimizer.built:
            self._fit_recipe(stream.steps, epochs)
        return [StopOnSkippedSteps(self.max_skipped_steps)]

    def _to_rows(self, x):
        """Rows of token ids of texts; what are rows already stays."""
        if not isinstance(x, dict):
            if self.preprocessor is None:
                raise ValueError(
                    "`x` must hold `token_ids`, `segment_ids` and "
                    "`padding_mask` where there is no preprocessor. Received: "
                    f"{type(x).__name__}. Give the pre-trainer a "
                    "`preprocessor` to fit on raw text."
                )
            x = self.preprocessor(x, y=None)
        return check_ids(x, self.backbone.vocabulary_size)

    def _fit_recipe(self, steps, epochs):
        """Sets the recipe's schedule to the length of this run."""
        if steps is None:
            return
        self._compile_with(
            pretraining_optimizer(self._recipe(), num_steps=steps * epochs)
        )

    def _recipe(self):
        """Name of the size whose recipe is the default."""
        return closest_size(self.backbone.hidden_dim, self.backbone.num_layers)

    @known_keywords(FitsExamples.evaluate)
    def evaluate(self, *args, **kwargs):
        """Reports loss and metrics, masked the same way every time."""
        for layer in (self.mask_tokens, self.sample_tokens):
            generator = layer.evaluation_seed_generator
            generator.state.assign(generator.start)
        with self._evaluation():
            return super().evaluate(*args, **kwargs)

    def test_step(self, *args):
        with self._evaluation():
            return super().test_step(*args)

    @contextlib.contextmanager
    def _evaluation(self):
        """Leaves out, while it lasts, the metrics that training alone has."""
        before, self._evaluating = self._evaluating, True
        try:
            yield
        finally:
            self._evaluating = before

    def get_metrics_result(self):
        results = super().get_metrics_result()
        if not self._evaluating:
            return results
        hidden = {m.name for m in self.pretraining_metrics.gradients}
        return {k: v for k, v in results.items() if k not in hidden}

    @property
    def metrics(self):
        if not hasattr(self, "pretraining_metrics"):
            return super().metrics
        ours = self.pretraining_metrics.all
        return [m for m in super().metrics if m not in ours] + ours

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.pretraining_metrics.update(x["padding_mask"], y_pred)
        return self.get_metrics_result()

    def preprocess_samples(self, x, y=None, sample_weight=None):
        return self._to_rows(x)

    def scales_loss(self):
        """Whether the optimizer scales the loss, as it does for float16."""
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def gradient_norms(self, gradients, scaled_loss, loss):
        """Norms of the gradients: of all, and of the generator's own weights.

        Args:
            gradients: list of arrays, one for each of `trainable_variables`.
            scaled_loss: scalar whose gradients they are.
            loss: scalar. The same without loss scaling.

        Returns:
            Two float32 scalars, with the loss scaling taken out.
        """
        own, others = [], []
        for gradient, variable in zip(gradients, self.trainable_variables):
            of_generator = variable.path.startswith(
                ("generator/", "generator_head/")
            )
            (own if of_generator else others).append(gradient)
        scale = ops.where(loss == 0, 1.0, loss / scaled_loss)
        norm = global_norm(others) * scale
        own_norm = global_norm(own) * scale if own else 0.0 * norm
        return ops.sqrt(norm**2 + own_norm**2), own_norm
