"""Cross-entropy of words: a label and a weight for the first piece of each."""

import keras


@keras.saving.register_keras_serializable(package="keras_electra")
class WordCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Categorical cross-entropy of logits, averaged over the weighted tokens.

    Keras' default reduction would count the tokens of weight 0, all pieces
    but the first of each word and the padding, in the mean.

    Args:
        reduction: string. `"mean_with_sample_weight"`, the default, or
            `"sum"`, the original's. `"sum_over_batch_size"` is taken for the
            former.
        **kwargs: `name` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: int array of shape `(batch, length)`.
        y_pred: logits of shape `(batch, length, num_classes)`.
        sample_weight: array of shape `(batch, length)`.

    Returns:
        float32 scalar, in nats.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        if reduction == "sum_over_batch_size":
            reduction = "mean_with_sample_weight"
        super().__init__(from_logits=True, reduction=reduction, **kwargs)

    def get_config(self):
        return keras.losses.Loss.get_config(self)
