"""What is watched while the pre-trainer learns. Padding never counts."""

import keras
from keras import ops

from keras_electra.pretraining import losses


class PretrainingMetrics:
    """The metrics of one pre-trainer, updated together.

    Args:
        discriminator: bool. Whether there is a discriminator to watch.

    Attributes:
        all: list of `keras.metrics.Metric`, in the order of the logs.
        gradients: the metrics among them that only a training step updates.
    """

    def __init__(self, discriminator=True):
        def mean(name):
            return keras.metrics.Mean(name=name, dtype="float32")

        self.generator_loss = mean("generator_loss")
        self.generator_accuracy = mean("generator_accuracy")
        self.all = [self.generator_loss, self.generator_accuracy]
        self.discriminator = discriminator
        if discriminator:
            self.discriminator_loss = mean("discriminator_loss")
            self.sampled_accuracy = mean("sampled_accuracy")
            self.replaced_fraction = mean("replaced_fraction")
            self.discriminator_accuracy = mean("discriminator_accuracy")
            self.precision = keras.metrics.Precision(
                name="discriminator_precision", dtype="float32"
            )
            self.recall = keras.metrics.Recall(
                name="discriminator_recall", dtype="float32"
            )
            # 200 thresholds as in the original (`run_pretraining.py:149`),
            # which also counts padding and so reports more than it should.
            self.auc = keras.metrics.AUC(
                num_thresholds=200, name="discriminator_auc", dtype="float32"
            )
            self.all += [
                self.discriminator_loss,
                self.sampled_accuracy,
                self.replaced_fraction,
                self.discriminator_accuracy,
                self.precision,
                self.recall,
                self.auc,
            ]
        self.gradient_norm = mean("gradient_norm")
        self.generator_gradient_norm = mean("generator_gradient_norm")
        self.skipped_steps = keras.metrics.Sum(
            name="skipped_steps", dtype="float32"
        )
        self.gradients = [
            self.gradient_norm,
            self.generator_gradient_norm,
            self.skipped_steps,
        ]
        self.all += self.gradients

    def update(self, padding_mask, outputs):
        """Adds a batch.

        Args:
            padding_mask: array of shape `(batch, length)`.
            outputs: dict, what `ElectraPretrainer` returns.
        """
        weights = outputs["mask_weights"]
        count = ops.sum(weights)
        token_ids = outputs["mask_ids"]

        def correct(ids):
            return ops.cast(ids == token_ids, "float32")

        self.generator_loss.update_state(
            losses.weighted_mean(outputs["token_loss"], weights), count
        )
        self.generator_accuracy.update_state(
            correct(outputs["predicted_ids"]), weights
        )
        if not self.discriminator:
            return
        tokens = ops.cast(padding_mask, "float32")
        logits = ops.cast(outputs["discriminator_logits"], "float32")
        replaced = ops.cast(outputs["replaced"], "float32")
        token_loss = losses.replaced_token_loss(logits, replaced)
        self.discriminator_loss.update_state(token_loss, tokens)
        self.sampled_accuracy.update_state(
            correct(outputs["sampled_ids"]), weights
        )
        self.replaced_fraction.update_state(replaced, tokens)
        guess = ops.cast(logits > 0, "float32")
        self.discriminator_accuracy.update_state(
            ops.cast(guess == replaced, "float32"), tokens
        )
        self.precision.update_state(replaced, guess, tokens)
        self.recall.update_state(replaced, guess, tokens)
        self.auc.update_state(replaced, ops.sigmoid(logits), tokens)

    def update_gradients(self, norm, generator_norm, applied):
        """Adds the gradients of a step.

        Args:
            norm: scalar. Global norm before clipping, over all weights.
            generator_norm: scalar. The same over the generator's own weights.
            applied: bool scalar. `False` for a step that was skipped, because
                its gradients were not finite.
        """
        applied = ops.cast(applied, "float32")
        safe = ops.where(applied > 0, norm, 0.0)
        self.gradient_norm.update_state(safe, applied)
        safe = ops.where(applied > 0, generator_norm, 0.0)
        self.generator_gradient_norm.update_state(safe, applied)
        self.skipped_steps.update_state(1.0 - applied)


class StopOnSkippedSteps(keras.callbacks.Callback):
    """Raises when too many steps in a row were skipped.

    A single bad step is skipped and counted by the training step. Many in a
    row mean that every further step is wasted.

    Args:
        limit: int. Skipped steps in a row that end the run. Defaults to `25`:
            loss scaling for float16 starts at 2^15 and halves at every
            skipped step, so it may take 15 of them to find its scale.

    Raises:
        FloatingPointError: at the end of the batch that reaches the limit, or
            of a later one where Keras has gone on.
    """

    # Keras may then go on to the next step before this one's logs are here.
    async_safe = True

    def __init__(self, limit=25):
        super().__init__()
        self.limit = limit
        self.in_a_row = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = -1  # index of the last batch
        self.skipped = 0

    def on_train_batch_end(self, batch, logs=None):
        if batch <= self.seen:
            return  # overtaken by a later one
        skipped = int(logs["skipped_steps"])
        steps = batch - self.seen  # more than one with steps_per_execution
        if skipped - self.skipped == steps:
            self.in_a_row += steps
        else:
            self.in_a_row = 0
        self.seen, self.skipped = batch, skipped
        if self.in_a_row >= self.limit:
            raise FloatingPointError(
                f"The gradients of the last {self.limit} steps were not "
                "finite, so none of these steps changed a weight. Expected "
                "finite gradients. Lower the learning rate, lengthen the "
                "warm-up, or use `mixed_bfloat16` instead of `mixed_float16`; "
                "if it happens at the first step, look for NaN in the weights "
                "that were loaded."
            )
