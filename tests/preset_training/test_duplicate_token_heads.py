import initialization
import keras
import numpy as np
import pytest
from duplicate_token_heads import initialize_duplicate_token_heads
from keras import ops

import keras_electra
from tests.preset_training.first_layer import attention_weights

CLS, SEP = 1, 2


def network(hidden_dim=64, num_heads=2, embedding_dim=64):
    keras.utils.set_random_seed(0)
    backbone = keras_electra.ElectraBackbone(
        vocabulary_size=50,
        num_layers=1,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=64,
        embedding_dim=embedding_dim,
        max_sequence_length=32,
        dropout=0.0,
    )
    initialization.initialize_relative_positions(backbone)
    return backbone


def written(backbone):
    """What heads of the first layer write with, `(heads, size, hidden_dim)`."""
    kernel = backbone.transformer_layers[0].attention.output_dense.kernel
    kernel = np.array(ops.convert_to_numpy(kernel))
    return kernel.reshape(backbone.num_heads, -1, backbone.hidden_dim)


@pytest.mark.parametrize("hidden_dim, num_heads", [(64, 2), (128, 4)])
def test_a_token_reads_itself_in_the_other_segment(hidden_dim, num_heads):
    backbone = network(hidden_dim, num_heads)
    first, second = [7, 20, 31, 44, 9], [44, 12, 7, 31]
    token_ids = [CLS, *first, SEP, *second, SEP]
    segment_ids = [0] * 7 + [1] * 5

    def found(head):
        """Share of the tokens in both segments that read each other."""
        weights = attention_weights(backbone, token_ids, segment_ids)[head]
        pairs = [(1 + first.index(t), 7 + second.index(t)) for t in (7, 31, 44)]
        return min(min(weights[i, j], weights[j, i]) for i, j in pairs)

    assert max(found(head) for head in range(num_heads)) < 0.1
    before = written(backbone)
    initialize_duplicate_token_heads(
        backbone, np.ones(50), [CLS, SEP], 1, sequence_length=32
    )
    (head,) = np.flatnonzero(np.any(written(backbone) != before, axis=(1, 2)))
    after = attention_weights(backbone, token_ids, segment_ids)
    assert found(head) > 0.8
    for lonely in (2, 5, 8):  # tokens 20, 9 and 12
        special = after[head, lonely, [0, 6, 11]].sum()
        assert special > 0.5


def test_outputs_stay_finite_and_of_their_size():
    backbone = network()
    inputs = {
        "token_ids": np.arange(3, 35, dtype="int32")[None],
        "segment_ids": np.repeat([[0, 1]], 16, axis=1).astype("int32"),
        "padding_mask": np.ones((1, 32), "int32"),
    }
    before = ops.convert_to_numpy(backbone(inputs)["sequence_output"])
    initialize_duplicate_token_heads(
        backbone, np.ones(50), [CLS, SEP], sequence_length=32
    )
    after = ops.convert_to_numpy(backbone(inputs)["sequence_output"])
    assert np.all(np.isfinite(after)) and not np.allclose(before, after)


def test_more_heads_than_the_embeddings_can_tell_tokens_by():
    backbone = network(128, 4, embedding_dim=32)
    with pytest.raises(ValueError, match="num_heads.*32.*2 heads"):
        initialize_duplicate_token_heads(backbone, np.ones(50), [CLS, SEP], 2)
