import numpy as np
from harness.networks import digest
from harness.networks import open_backbone
from keras import ops


def test_weights_and_dropout(preset):
    first, second = open_backbone(preset), open_backbone(preset)
    # The preset was trained without.
    assert first.dropout == first.attention_dropout == 0.1
    fresh = open_backbone(preset, random_weights=True)
    assert digest(first) == digest(second) != digest(fresh)
    kernels = [
        ops.convert_to_numpy(network.token_embedding.embeddings)
        for network in (first, second, fresh)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])
