"""What the first layer of a network reads."""

import numpy as np
from keras import ops


def attention_weights(backbone, token_ids, segment_ids=None):
    """Weights of the first layer for a row, `(heads, length, length)`."""
    token_ids = np.asarray([token_ids], "int32")
    if segment_ids is None:
        segment_ids = np.zeros_like(token_ids[0])
    x = backbone.embeddings(
        ops.convert_to_tensor(token_ids),
        ops.convert_to_tensor(np.asarray([segment_ids], "int32")),
    )
    if backbone.embeddings_projection is not None:
        x = backbone.embeddings_projection(x)
    x = backbone.transformer_layers[0].attention.query_key_value(x)
    x = np.array(ops.convert_to_numpy(x))[0]  # (L, 3D)
    x = x.reshape(len(x), 3, backbone.num_heads, -1).transpose(1, 2, 0, 3)
    scores = x[0] @ x[1].swapaxes(-1, -2) / x.shape[-1] ** 0.5
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)
