"""A pre-trainer whose draws are given, to compare with recorded numbers."""

import contextlib
import unittest.mock

import keras
import numpy as np
from keras import ops

from keras_electra.pretraining.masking import MaskTokens
from keras_electra.pretraining.masking import ReplaceTokens
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.sampling import SampleTokens
from tests import recorded


@contextlib.contextmanager
def forced_draws(inputs, replaced):
    """Makes masks and replacements those of the arrays, whatever is drawn.

    The recorded batch has positions that were drawn twice, which ours never
    has; so what the discriminator read is given, too.
    """

    def mask(self, token_ids, padding_mask, segment_ids=None, training=None):
        return {
            "token_ids": ops.convert_to_tensor(inputs["masked_input_ids"]),
            "mask_positions": ops.convert_to_tensor(
                inputs["masked_lm_positions"]
            ),
            "mask_ids": ops.convert_to_tensor(inputs["masked_lm_ids"]),
            "mask_weights": ops.convert_to_tensor(inputs["masked_lm_weights"]),
        }

    plain = SampleTokens.call

    def sample(self, logits, mask_ids, weights=None, training=None):
        self.seen_logits = logits
        outputs = plain(self, logits, mask_ids, training=training)
        sampled = ops.convert_to_tensor(inputs["sampled_ids"])
        return {**outputs, "sampled_ids": sampled}

    def replace(self, token_ids, *slots):
        return {
            "token_ids": ops.convert_to_tensor(inputs["corrupted_input_ids"]),
            "replaced": ops.convert_to_tensor(replaced),
        }

    with (
        unittest.mock.patch.object(MaskTokens, "call", mask),
        unittest.mock.patch.object(SampleTokens, "call", sample),
        unittest.mock.patch.object(ReplaceTokens, "call", replace),
    ):
        yield


def model_inputs(inputs):
    return {
        "token_ids": inputs["input_ids"],
        "segment_ids": inputs["segment_ids"],
        "padding_mask": inputs["input_mask"],
    }


def section(archive, prefix):
    """The arrays of an archive below a prefix, by the rest of their name."""
    return {
        name[len(prefix) :]: archive[name]
        for name in archive.files
        if name.startswith(prefix)
    }


def build(backbone, generator, special=None, **kwargs):
    """A pre-trainer with the recorded vocabulary's special tokens."""
    ids = recorded.special_ids() if special is None else special
    return ElectraPretrainer(
        backbone,
        generator,
        mask_token_id=ids["[MASK]"],
        unselectable_token_ids=sorted(
            ids[name] for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
        ),
        **kwargs,
    )


def gradients(pretrainer, x):
    """Gradients of the loss for each trainable variable, as NumPy arrays."""
    backend = keras.config.backend()
    x = {name: ops.convert_to_tensor(value) for name, value in x.items()}
    variables = pretrainer.trainable_variables
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = pretrainer.compute_loss(x=x, y_pred=pretrainer(x))
        found = tape.gradient(loss, [v.value for v in variables])
        found = [tf.convert_to_tensor(g) for g in found]
    elif backend == "torch":
        pretrainer.zero_grad()
        pretrainer.compute_loss(x=x, y_pred=pretrainer(x)).backward()
        found = [v.value.grad for v in variables]
    else:
        import jax

        def loss(values):
            y, _ = pretrainer.stateless_call(
                values, [v.value for v in pretrainer.non_trainable_variables], x
            )
            return pretrainer.compute_loss(x=x, y_pred=y)

        found = jax.jit(jax.grad(loss))([v.value for v in variables])
    return {
        id(v): np.asarray(ops.convert_to_numpy(g))
        for v, g in zip(variables, found)
    }
