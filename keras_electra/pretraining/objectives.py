"""What the discriminator learns: five objectives, and three ways to weigh.

ELECTRA's, those it was compared with (paper, section 3.4, table 5), and
Electric's noise-contrastive estimation (Clark et al. 2020, section 2.3). Of
one small layer and functions; `ElectraPretrainer` has the arguments.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_electra.arguments import check_option
from keras_electra.backend import replicas
from keras_electra.model import embeddings as heads
from keras_electra.pretraining import losses
from keras_electra.pretraining import masking
from keras_electra.pretraining.networks import ElectraTwoTowers

OBJECTIVES = (
    "detection",
    "masked_detection",
    "replace_mlm",
    "all_tokens_mlm",
    "electric",
)
LOSSES = ("cross_entropy", "balanced", "focal")


def check_arguments(generator, objective, discriminator_loss, share_embeddings):
    """Raises unless they go together; returns whether there are two towers."""
    check_option("objective", objective, OBJECTIVES)
    check_option("discriminator_loss", discriminator_loss, LOSSES)
    check_option("share_embeddings", share_embeddings, (True, False, "gdes"))
    has_towers = isinstance(generator, ElectraTwoTowers)
    if objective == "electric" and not has_towers:
        raise ValueError(
            '`objective="electric"` needs `ElectraTwoTowers` as `generator`, '
            'as of `from_size(generator="towers")`. Received: '
            f"{type(generator).__name__}."
        )
    return has_towers


def balance(replaced: Any, weights: Any) -> Any:
    """`weights`, but both classes, of which one is rare, weigh half of all."""
    weights = ops.cast(weights, "float32")
    share = ops.cast(replaced, "float32") * weights
    new, all = (replicas.total(ops.sum(x)) for x in (share, weights))
    new, old = ops.maximum(new, 1.0), ops.maximum(all - new, 1.0)
    return all / 2.0 * (share / new + (weights - share) / old)


def focus(token_loss: Any, gamma: Any = 2.0) -> Any:
    """Less of what is judged well: times `(1 - p)^gamma` (Lin et al. 2017)."""
    return token_loss * (1.0 - ops.exp(-token_loss)) ** gamma


def copied_loss(token_loss: Any, copy_logits: Any, is_same: Any) -> Any:
    """Negative log-likelihood where a token may also be copied, with sigmoid.

    `is_same` is where the copy is right; the rest is left to the softmax.
    """
    copy_logits = ops.cast(copy_logits, "float32")
    own = -ops.softplus(copy_logits) - token_loss
    both = ops.logaddexp(-ops.softplus(-copy_logits), own)
    return -ops.where(is_same, both, own)


class TokenLoss(keras.layers.Layer):
    """Negative log-likelihood of ids by logits, float32, in nats."""

    def __init__(self, **kwargs: Any):
        super().__init__(dtype="float32", autocast=False, **kwargs)

    def call(self, logits: Any, token_ids: Any) -> Any:
        shares, top, _ = losses.exponentials(logits)
        return losses.token_prediction_loss(logits, token_ids, shares, top)

    def compute_output_spec(self, logits: Any, token_ids: Any) -> Any:
        return keras.KerasTensor(token_ids.shape, "float32")


def make_head(backbone: Any, objective: Any) -> Any:
    """The head of an objective, over the discriminator."""
    common = dict(
        activation=backbone.activation,
        initializer_range=backbone.initializer_range,
        dtype=backbone.dtype_policy,
        name="discriminator_head",
    )
    if objective.endswith("mlm"):
        return heads.TokenPredictionHead(backbone.embeddings, **common)
    return heads.ReplacedTokenHead(**common)


def everywhere(token_ids: Any) -> Any:
    """The positions of all tokens, of the shape of `token_ids`."""
    return ops.cumsum(ops.ones_like(token_ids), axis=1) - 1


def judge(objective, head, states, outputs, token_ids, all_logits, rate):
    """Outputs of the discriminator, a dict, from its `states`.

    `all_logits` are the generator's at all positions, and `rate` the share of
    masked tokens, for `"electric"` alone.
    """
    new_ids = outputs["corrupted_token_ids"]
    if objective == "replace_mlm":
        positions, ids = outputs["mask_positions"], outputs["mask_ids"]
    elif objective == "all_tokens_mlm":
        positions, ids = everywhere(token_ids), token_ids
    else:
        logits = head(states)
        if objective == "electric":
            noise = TokenLoss(name="noise")(all_logits, new_ids)
            logits = ops.cast(logits, "float32") - ops.stop_gradient(noise)
            logits = logits + math.log(rate / (1.0 - rate))
        return {"discriminator_logits": logits}
    loss = TokenLoss(name="prediction")(head(states, positions), ids)
    if objective == "all_tokens_mlm":
        copy = heads.ReplacedTokenHead(
            dtype=head.dtype_policy, name="copy_head"
        )
        same = ops.equal(new_ids, token_ids)
        loss = copied_loss(loss, copy(states), same)
    return {"discriminator_token_loss": loss}


def generator_loss(pretrainer: Any, x: Any, y: Any) -> Any:
    """Mean over what was masked; over all that can be, of two towers."""
    if "all_token_loss" not in y:
        return losses.weighted_mean(y["token_loss"], y["mask_weights"])
    given = x["token_ids"], x["padding_mask"], pretrainer.unselectable_token_ids
    used = masking.find_candidates(*given)
    return losses.weighted_mean(y["all_token_loss"], used)


def discriminator_loss(pretrainer: Any, x: Any, y: Any) -> Any:
    """Mean over the tokens that the objective judges."""
    is_mlm = pretrainer.objective == "replace_mlm"
    weights = y["mask_weights"] if is_mlm else pretrainer.judged(x, y)
    if "discriminator_token_loss" in y:
        return losses.weighted_mean(y["discriminator_token_loss"], weights)
    given = y["discriminator_logits"], y["replaced"]
    token_loss = losses.replaced_token_loss(*given)
    if pretrainer.discriminator_loss == "balanced":
        weights = balance(y["replaced"], weights)
    if pretrainer.discriminator_loss == "focal":
        token_loss = focus(token_loss)
    return losses.weighted_mean(token_loss, weights)
