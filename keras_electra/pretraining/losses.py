"""The two losses of ELECTRA, and what is watched while they fall.

Means over the tokens that count, in float32, with the original's 1e-6 in the
denominator (`run_pretraining.py:177, 226`): without any, a loss is zero.
"""

import keras
from keras import ops


def weighted_mean(values, weights):
    """Mean of `values` where `weights` is 1; both of the same shape."""
    values, weights = (ops.cast(x, "float32") for x in (values, weights))
    return ops.sum(values * weights) / (ops.sum(weights) + 1e-6)


def exponentials(logits):
    """A softmax before it is divided, of logits `(..., vocabulary_size)`.

    Returns `exp(logits - top)`, the greatest score `top`, `(..., 1)`, both in
    float32, and its index, `(...,)`.
    """
    logits = ops.cast(logits, "float32")
    best = ops.argmax(logits, axis=-1)
    top = ops.max(ops.stop_gradient(logits), axis=-1, keepdims=True)
    return ops.exp(logits - top), top, best


def token_prediction_loss(logits, token_ids, unnormalized, top):
    """Negative log-likelihood `(...,)`, in nats, by those `exponentials`."""
    ids = ops.arange(logits.shape[-1], dtype="int32")
    is_right = ids == ops.expand_dims(ops.cast(token_ids, "int32"), -1)
    # Not picked out by position: the gradient of that is slow on a CPU.
    right = ops.where(is_right, ops.cast(logits, "float32"), 0.0)
    total = ops.log(ops.sum(unnormalized, axis=-1)) + ops.squeeze(top, -1)
    return total - ops.sum(right, axis=-1)


def replaced_token_loss(logits, replaced):
    """Binary cross-entropy of the discriminator's scores, float32, in nats.

    A positive score means replaced; `replaced` is 1 where the token was.
    """
    logits = ops.cast(logits, "float32")
    replaced = ops.cast(replaced, "float32")
    # log(1 + exp(-|x|)) + max(x, 0) - x * y never overflows.
    soft = ops.log1p(ops.exp(-ops.abs(logits))) + ops.relu(logits)
    return soft - logits * replaced


class PretrainingMetrics:
    """All metrics in a list; `gradients`, the last, are for training steps."""

    def __init__(self, discriminator=True):
        mean = keras.metrics.Mean
        kinds = {"generator_loss": mean, "generator_accuracy": mean}
        if discriminator:
            kinds |= {
                "discriminator_loss": mean,
                "sampled_accuracy": mean,
                "replaced_fraction": mean,
                "discriminator_accuracy": mean,
                "discriminator_precision": keras.metrics.Precision,
                "discriminator_recall": keras.metrics.Recall,
                # 200 thresholds, as the original (`run_pretraining.py:149`),
                # which also counts padding and so reports too much.
                "discriminator_auc": keras.metrics.AUC,
            }
        kinds |= {
            "gradient_norm": mean,
            "generator_gradient_norm": mean,
            "skipped_steps": keras.metrics.Sum,
        }
        self.all = [kind(name=n, dtype="float32") for n, kind in kinds.items()]
        self.gradients = self.all[-3:]

    def update(self, padding_mask, outputs):
        """Adds a batch: its padding mask, and outputs of the pre-trainer."""
        right, used = outputs["mask_ids"], outputs["mask_weights"]
        updates = [
            (outputs["token_loss"], used),
            (outputs["predicted_ids"] == right, used),
        ]
        if "discriminator_logits" in outputs:
            logits = ops.cast(outputs["discriminator_logits"], "float32")
            replaced, guess = outputs["replaced"], ops.cast(logits > 0, "int32")
            updates += [
                (replaced_token_loss(logits, replaced), padding_mask),
                (outputs["sampled_ids"] == right, used),
                (replaced, padding_mask),
                (guess == replaced, padding_mask),
                (replaced, guess, padding_mask),
                (replaced, guess, padding_mask),
                (replaced, ops.sigmoid(logits), padding_mask),
            ]
        for metric, values in zip(self.all, updates):
            # Flat, or Keras takes the mean of each row: those of short batches
            # would count for more.
            flat = (ops.reshape(value, (-1,)) for value in values)
            metric.update_state(*(ops.cast(v, "float32") for v in flat))

    def update_gradients(self, norm, generator_norm, applied):
        """Adds a step by the norms before clipping; returns the results."""
        applied = ops.cast(applied, "float32")
        *norms, skipped = self.gradients
        for metric, value in zip(norms, (norm, generator_norm)):
            # A weight of 0 would not take a NaN out.
            metric.update_state(ops.where(applied > 0, value, 0.0), applied)
        skipped.update_state(1.0 - applied)
        return {metric.name: metric.result() for metric in self.gradients}


class StopOnSkippedSteps(keras.callbacks.Callback):
    """Raises a `FloatingPointError` when `limit` steps in a row were skipped.

    Loss scaling for float16 starts at 2^15 and halves at every skipped step: it
    may take 15 of them to find its scale.
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
        all_skipped = skipped - self.skipped == steps
        self.in_a_row = self.in_a_row + steps if all_skipped else 0
        self.seen, self.skipped = batch, skipped
        if self.in_a_row >= self.limit:
            raise FloatingPointError(
                f"The gradients of the last {self.limit} steps were not "
                "finite, so no weight changed. Lower the learning rate, warm "
                "up longer, use `mixed_bfloat16` instead of `mixed_float16`, "
                "or look for NaN in weights that were loaded."
            )
