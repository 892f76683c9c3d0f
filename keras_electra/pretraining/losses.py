"""The two losses of ELECTRA, and what is watched while they fall.

Means over the tokens that count, in float32, with the original's 1e-6 in the
denominator (`run_pretraining.py:177, 226`): without any, a loss is zero.
"""

from typing import Any

import keras
from keras import ops

from keras_electra.backend import replicas
from keras_electra.training.steps import StepMetrics

NORMS = "gradient_norm", "generator_gradient_norm"


def weighted_mean(values: Any, weights: Any) -> Any:
    """Mean of `values` where `weights` is 1; both of the same shape.

    Of several replicas its share of the mean over all: their sum is the mean.
    """
    values, weights = (ops.cast(x, "float32") for x in (values, weights))
    return ops.sum(values * weights) / (replicas.total(ops.sum(weights)) + 1e-6)


def exponentials(logits: Any) -> tuple[Any, ...]:
    """A softmax before it is divided, of logits `(..., vocabulary_size)`.

    In float32 `exp(logits - top)` and the greatest, `top`; and its index.
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


def replaced_token_loss(logits: Any, replaced: Any) -> Any:
    """Binary cross-entropy of the discriminator's scores, float32, in nats.

    A positive score means replaced; `replaced` is 1 where the token was.
    """
    logits = ops.cast(logits, "float32")
    replaced = ops.cast(replaced, "float32")
    # log(1 + exp(-|x|)) + max(x, 0) - x * y never overflows.
    soft = ops.log1p(ops.exp(-ops.abs(logits))) + ops.relu(logits)
    return soft - logits * replaced


class PretrainingMetrics(StepMetrics):
    """All metrics in a list; `gradients`, the last, are for training steps.

    Of a range of masking accuracy and AUC are also of each third of the rates.
    """

    def __init__(self, discriminator: bool = True, mask_range: Any = None):
        super().__init__(NORMS)
        mean, auc = keras.metrics.Mean, keras.metrics.AUC
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
                "discriminator_auc": auc,
            }
        self.bounds = []  # of the thirds
        if mask_range:
            low, high = mask_range
            edges = [low + (high - low) * i / 3 for i in range(3)] + [2.0]
            self.bounds = [*zip(edges, edges[1:])]
            for rate in ("low", "middle", "high"):
                kinds[f"generator_accuracy_{rate}"] = mean
                if discriminator:
                    kinds[f"discriminator_auc_{rate}"] = auc
        self.own = [kind(name=n, dtype="float32") for n, kind in kinds.items()]
        self.all = self.own + self.gradients

    def update(self, judged: Any, outputs: Any) -> None:
        """Adds a batch: which tokens are judged, and the model's outputs."""
        right, used = outputs["mask_ids"], outputs["mask_weights"]
        rights = outputs["predicted_ids"] == right, used
        updates, by_rate = [(outputs["token_loss"], used), rights], [rights]
        if "discriminator_logits" in outputs:
            logits = ops.cast(outputs["discriminator_logits"], "float32")
            replaced, guess = outputs["replaced"], ops.cast(logits > 0, "int32")
            by_rate.append((replaced, ops.sigmoid(logits), judged))
            updates += [
                (replaced_token_loss(logits, replaced), judged),
                (outputs["sampled_ids"] == right, used),
                (replaced, judged),
                (guess == replaced, judged),
                (replaced, guess, judged),
                (replaced, guess, judged),
                by_rate[1],
            ]
        for low, high in self.bounds:
            rate = outputs["mask_rate"][:, None]
            inside = ops.cast((rate >= low) & (rate < high), "float32")
            for *values, weights in by_rate:
                weights = inside * ops.cast(weights, "float32")
                updates.append((*values, weights))
        for metric, values in zip(self.own, updates, strict=True):
            # Else Keras takes means of rows: short ones would count for more.
            flat = (ops.reshape(value, (-1,)) for value in values)
            metric.update_state(*(ops.cast(v, "float32") for v in flat))
