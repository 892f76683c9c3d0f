import keras
import numpy as np
from keras import ops

from keras_electra.pretraining import seeds


def draw(generator):
    return ops.convert_to_numpy(keras.random.uniform((3,), seed=generator))


def test_state_is_saved():
    generator, store = keras.random.SeedGenerator(1), {}
    draw(generator)
    seeds.save_seed(generator, store)
    expected = draw(generator)
    other = keras.random.SeedGenerator(2)
    seeds.load_seed(other, store)
    np.testing.assert_array_equal(draw(other), expected)


def test_start_of_an_evaluation():
    generator = seeds.evaluation_seed(4)
    first = draw(generator)
    assert np.any(draw(generator) != first)
    generator.state.assign(generator.start)
    np.testing.assert_array_equal(draw(generator), first)
