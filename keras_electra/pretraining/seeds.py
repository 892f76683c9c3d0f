"""Seeds of the draws: saved for training, always the same for evaluation.

Keras does not save the states of seed generators with the weights, so the
layers that draw masks and replacements do. The draws of one seed differ
between backends, and on TensorFlow between XLA and the plain graph: numbers of
evaluations compare exactly within one of these, and by their sampling noise
across them.
"""

import keras
from keras import ops

SEED_KEY = "seed_generator_state"


def evaluation_seed(seed):
    """A generator for evaluation, with `start`, the state to go back to."""
    generator = keras.random.SeedGenerator(seed)
    generator.start = ops.convert_to_numpy(generator.state.value)
    return generator


def save_seed(generator, store):
    """Puts the state of a generator into a layer's store of variables."""
    store[SEED_KEY] = ops.convert_to_numpy(generator.state.value)


def load_seed(generator, store):
    """Takes the state of a generator from a layer's store of variables."""
    generator.state.assign(store[SEED_KEY][()])
