"""The one room that knows a backend.

`TrainStep` is mixed into the pre-trainer: the same work three times, each in
its backend's idiom. Everything that is mathematics is `compute_loss` of the
pre-trainer, which all three call.
"""

import keras

if keras.config.backend() == "tensorflow":
    from keras_electra.pretraining.train_step.tensorflow import TrainStep
elif keras.config.backend() == "torch":
    from keras_electra.pretraining.train_step.torch import TrainStep
elif keras.config.backend() == "jax":
    from keras_electra.pretraining.train_step.jax import TrainStep
else:
    raise ImportError(
        "keras_electra trains on the backends tensorflow, torch and jax. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}."
    )

__all__ = ["TrainStep"]
