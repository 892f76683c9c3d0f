"""What the package has for speed alone, to be timed without.

    python examples/benchmarks/speed.py --backends torch --dtypes bfloat16 \
        --without encoder_layer vocabulary adam

Each name is one piece that `remove` puts out of use, in a process of its own:
the network then computes the same by Keras' operations, to rounding.
"""

import math


def remove(name):
    """Puts one piece out of use."""
    PIECES[name]()


def encoder_layer():
    from keras_electra import backend

    backend.encoder_layer.can_run = never


def vocabulary():
    from keras_electra.backend import torch_operations

    torch_operations.can_predict = never


def adam():
    import keras

    from keras_electra.training.optimizers import ElectraAdamW

    usual = keras.optimizers.Optimizer._backend_update_step
    ElectraAdamW._backend_update_step = usual


def onednn():
    from keras_electra.backend import torch_operations

    torch_operations.USES_ONEDNN = False


def groups_by_length():
    from keras_electra.backend import torch_attention

    make = torch_attention.make_groups
    torch_attention.make_groups = lambda mask, dtype, training: make(
        mask, dtype, False
    )


def dropout_bits():
    """Random bits by the formula, not by operations in place."""
    import torch

    from keras_electra.backend import numerics
    from keras_electra.backend import torch_operations

    def draw(shape, seed, pick):
        *rows, width = shape
        lanes = -(-width // 2)
        places = torch.arange(math.prod(rows) * lanes, dtype=torch.int32)
        places = places.view(*rows, lanes)
        places = places if pick is None else pick(places)
        bits = numerics.hash_counters(places, seed).view(torch.int16)
        return bits[..., :width].contiguous()

    torch_operations._draw = draw


def never(*args, **kwargs):
    return False


PIECES = {
    piece.__name__: piece
    for piece in (
        encoder_layer,
        vocabulary,
        adam,
        onednn,
        groups_by_length,
        dropout_bits,
    )
}
