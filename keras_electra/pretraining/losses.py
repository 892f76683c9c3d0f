"""What the two networks learn: objectives, their losses, and metrics.

Objectives are ELECTRA's, those it was compared with (paper, section 3.4, table
5), and Electric's noise-contrastive estimation (Clark et al., EMNLP 2020).
Means are over the tokens that count, in float32, with the original's 1e-6 in
the denominator (`run_pretraining.py:177, 226`): without any, a loss is zero.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_electra.backend import replicas
from keras_electra.model import embeddings as heads
from keras_electra.training.steps import StepMetrics

NORMS = "gradient_norm", "generator_gradient_norm"
DETECTION = ("detection", "masked_detection", "electric")


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


def balance(replaced: Any, weights: Any) -> Any:
    """`weights`, but replaced tokens, which are few, weigh half of all."""
    weights = ops.cast(weights, "float32")
    new = ops.cast(replaced, "float32") * weights
    counts = replicas.total(ops.sum(new)), replicas.total(ops.sum(weights))
    share = ops.clip(counts[0] / ops.maximum(counts[1], 1.0), 1e-6, 1 - 1e-6)
    return 0.5 * (new / share + (weights - new) / (1.0 - share))


def focus(token_loss: Any, gamma: Any = 2.0) -> Any:
    """Less of what is judged well: times `(1 - p)^gamma` (Lin et al. 2017)."""
    return token_loss * (1.0 - ops.exp(-token_loss)) ** gamma


def detection_loss(logits, replaced, weights, kind="cross_entropy"):
    """Mean of the discriminator's losses of tokens, of a kind."""
    token_loss = replaced_token_loss(logits, replaced)
    if kind == "focal":
        token_loss = focus(token_loss)
    if kind == "balanced":
        weights = balance(replaced, weights)
    return weighted_mean(token_loss, weights)


def token_loss(logits, token_ids):
    """As `token_prediction_loss`, of arrays or of what is not computed yet."""
    logits, options = ops.cast(logits, "float32"), {"from_logits": True}
    return ops.sparse_categorical_crossentropy(token_ids, logits, **options)


def copied_loss(token_loss: Any, copy_logits: Any, is_same: Any) -> Any:
    """Negative log-likelihood where a token may be copied or predicted.

    It is copied with the sigmoid's probability, rightly if it `is_same`.
    """
    copy_logits = ops.cast(copy_logits, "float32")
    predicted = -ops.softplus(copy_logits) - token_loss
    both = ops.logaddexp(-ops.softplus(-copy_logits), predicted)
    return -ops.where(is_same, both, predicted)


def everywhere(token_ids: Any) -> Any:
    """The positions of all tokens, of the shape of `token_ids`."""
    return ops.cumsum(ops.ones_like(token_ids), axis=1) - 1


def make_head(network: Any, name: str, predicts: bool, activation: Any = None):
    """A head that predicts tokens, or tells which are replaced."""
    activation = activation or network.activation
    common = {"activation": activation, "dtype": network.dtype_policy}
    common.update(initializer_range=network.initializer_range, name=name)
    if predicts:
        return heads.TokenPredictionHead(network.embeddings, **common)
    return heads.ReplacedTokenHead(**common)


def judge(objective, head, states, outputs, token_ids, noise, mask_fraction):
    """What the discriminator says by its `states`, a dict, as a graph.

    Of `"electric"` `noise` are the generator's logits at all positions.
    """
    new_ids = outputs["corrupted_token_ids"]
    if objective == "replace_mlm":
        logits = head(states, outputs["mask_positions"])
        loss = token_loss(logits, outputs["mask_ids"])
        return {"discriminator_token_loss": loss}
    if objective == "all_tokens_mlm":
        loss = token_loss(head(states, everywhere(token_ids)), token_ids)
        copy = heads.ReplacedTokenHead(dtype=head.dtype_policy, name="copy")
        given = loss, copy(states), ops.equal(new_ids, token_ids)
        return {"discriminator_token_loss": copied_loss(*given)}
    logits = head(states)
    if objective == "electric":  # section 2.3, equation 4
        odds = math.log(mask_fraction / (1.0 - mask_fraction))
        noise = ops.stop_gradient(token_loss(noise, new_ids))
        logits = ops.cast(logits, "float32") - noise + odds
    return {"discriminator_logits": logits}


class PretrainingMetrics(StepMetrics):
    """All metrics in a list; `gradients`, the last, are for training steps.

    `outputs` are names of the model's. Of a range of masking accuracy and AUC
    are also of each third of the rates.
    """

    def __init__(self, outputs=("discriminator_logits",), mask_range=None):
        super().__init__(NORMS)
        mean, auc = keras.metrics.Mean, keras.metrics.AUC
        kinds = {"generator_loss": mean, "generator_accuracy": mean}
        detects = "discriminator_logits" in outputs
        if detects or "discriminator_token_loss" in outputs:
            kinds |= {"discriminator_loss": mean, "sampled_accuracy": mean}
        if detects:
            kinds |= {
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
                if detects:
                    kinds[f"discriminator_auc_{rate}"] = auc
        self.own = [kind(name=n, dtype="float32") for n, kind in kinds.items()]
        self.all = self.own + self.gradients

    def update(self, judged: Any, outputs: Any) -> None:
        """Adds a batch: which tokens are judged, and the model's outputs."""
        right, used = outputs["mask_ids"], outputs["mask_weights"]
        rights = outputs["predicted_ids"] == right, used
        updates, by_rate = [(outputs["token_loss"], used), rights], [rights]
        sampled = outputs["sampled_ids"] == right, used
        if "discriminator_token_loss" in outputs:
            loss = outputs["discriminator_token_loss"]
            updates += [(loss, judged), sampled]
        if "discriminator_logits" in outputs:
            logits = ops.cast(outputs["discriminator_logits"], "float32")
            replaced, guess = outputs["replaced"], ops.cast(logits > 0, "int32")
            by_rate.append((replaced, ops.sigmoid(logits), judged))
            updates += [
                (replaced_token_loss(logits, replaced), judged),
                sampled,
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
