"""The one room that knows a backend.

`TrainStep` is mixed into the pre-trainer: the same work three times, each in
its backend's idiom. Everything that is mathematics is `compute_loss` of the
pre-trainer, which all three call. `encoder_layer` is the module with `can_run`
and `run` that computes a `TransformerLayer` faster where it can, and with
`half_precision`, the name of the type for products of a tensor that need not be
exact: bfloat16, or float32 where that is faster.
"""

import keras

if keras.config.backend() == "tensorflow":
    from keras_electra.backend import tensorflow_layer
    from keras_electra.backend.tensorflow import TrainStep

    encoder_layer = tensorflow_layer
elif keras.config.backend() == "torch":
    from keras_electra.backend import torch_layer
    from keras_electra.backend.torch import TrainStep

    encoder_layer = torch_layer
elif keras.config.backend() == "jax":
    from keras_electra.backend import jax_layer
    from keras_electra.backend.jax import TrainStep

    encoder_layer = jax_layer
else:
    raise ImportError(
        "keras_electra trains on the backends tensorflow, torch and jax. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}."
    )

__all__ = ["TrainStep", "encoder_layer"]
