"""The one room that knows TensorFlow, torch and JAX.

`TrainStep` is that of every model. `encoder_layer.run` computes faster,
to rounding, the `call` of a `TransformerLayer` for which `can_run` holds.
`gradients` are of a function of its inputs, not of weights.
`replicas` are the devices that share a batch, and the processes.
"""

import keras

from keras_electra.backend import replicas

if keras.config.backend() == "tensorflow":
    from keras_electra.backend import tensorflow as encoder_layer
    from keras_electra.backend import tensorflow as engine
elif keras.config.backend() == "torch":
    from keras_electra.backend import torch as engine
    from keras_electra.backend import torch_layer as encoder_layer
elif keras.config.backend() == "jax":
    from keras_electra.backend import jax as encoder_layer
    from keras_electra.backend import jax as engine
else:
    raise ImportError(
        "keras_electra trains on the backends tensorflow, torch and jax. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}."
    )

TrainStep, gradients = engine.TrainStep, engine.gradients
peak_memory = engine.peak_memory
__all__ = ["TrainStep", "encoder_layer", "gradients", "peak_memory", "replicas"]
