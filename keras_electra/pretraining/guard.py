"""Stops a run that has stopped learning because its gradients are not finite.

A single bad step is skipped and counted by the training step. Many in a row
mean that every further step is wasted.
"""

import keras


class StopOnSkippedSteps(keras.callbacks.Callback):
    """Raises when too many steps in a row were skipped.

    Args:
        limit: int. Skipped steps in a row that end the run. Defaults to `25`:
            loss scaling for float16 starts at 2^15 and halves at every
            skipped step, so it may take 15 of them to find its scale.

    Raises:
        FloatingPointError: at the end of the batch that reaches the limit, or
            of a later one where Keras has gone on.
    """

    # Keras may then go on to the next step before this one's logs are here.
    async_safe = True

    def __init__(self, limit=25):
        super().__init__()
        self.limit = limit
        self.in_a_row = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = -1  # index of the last batch
        self.skipped = 0

    def on_train_batch_end(self, batch, logs=None):
        if batch <= self.seen:
            return  # overtaken by a later one
        skipped = int(logs["skipped_steps"])
        steps = batch - self.seen  # more than one with steps_per_execution
        if skipped - self.skipped == steps:
            self.in_a_row += steps
        else:
            self.in_a_row = 0
        self.seen, self.skipped = batch, skipped
        if self.in_a_row >= self.limit:
            raise FloatingPointError(
                f"The gradients of the last {self.limit} steps were not "
                "finite, so none of these steps changed a weight. Expected "
                "finite gradients. Lower the learning rate, lengthen the "
                "warm-up, or use `mixed_bfloat16` instead of `mixed_float16`; "
                "if it happens at the first step, look for NaN in the weights "
                "that were loaded."
            )
