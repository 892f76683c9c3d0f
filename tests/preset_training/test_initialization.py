import initialization
import keras
import numpy as np
import pytest

import keras_electra
from tests.preset_training.first_layer import attention_weights


def backbone(hidden_dim, num_heads, **kwargs):
    keras.utils.set_random_seed(0)
    return keras_electra.ElectraBackbone(
        vocabulary_size=50,
        num_layers=1,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=64,
        embedding_dim=64,
        max_sequence_length=32,
        dropout=0.0,
        **kwargs,
    )


@pytest.mark.parametrize("hidden_dim, num_heads", [(64, 2), (128, 4), (32, 1)])
def test_heads_read_one_distance(hidden_dim, num_heads):
    network = backbone(hidden_dim, num_heads)
    token_ids = np.random.default_rng(0).integers(0, 50, 32, "int32")

    def share(head):
        weights = attention_weights(network, token_ids)
        offset = initialization.OFFSETS[head]
        return np.diagonal(weights[head], offset).mean()

    before = [share(head) for head in range(num_heads)]
    initialization.initialize_relative_positions(network)
    after = [share(head) for head in range(num_heads)]
    assert max(before) < 0.1
    # A narrow network cannot hold all coordinates of the embeddings.
    assert min(after) > (0.9 if hidden_dim >= 64 else 0.25)


def test_shared_embeddings_are_left_alone():
    first = backbone(64, 2)
    initialization.initialize_relative_positions(first)
    before = first.embeddings.get_weights()
    second = backbone(32, 1, embeddings=first.embeddings)
    initialization.initialize_relative_positions(
        second, seed=1, set_embeddings=False
    )
    for old, new in zip(before, first.embeddings.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_loss_of_frequencies():
    """Before the first step the loss is the entropy of the frequencies."""
    network = backbone(32, 1)
    model = keras_electra.ElectraPretrainer(
        network,
        network,
        mask_token_id=4,
        unselectable_token_ids=[0, 2, 3, 4],
        discriminator_weight=0.0,
    )
    frequencies = 1 / np.arange(1, 46)
    frequencies /= frequencies.sum()
    ids = np.random.default_rng(1).choice(45, (64, 32), p=frequencies) + 5
    batch = {
        "token_ids": ids.astype("int32"),
        "segment_ids": np.zeros_like(ids, "int32"),
        "padding_mask": np.ones_like(ids, "int32"),
    }
    counts = initialization.count_tokens([batch, batch], 50, num_batches=1)
    np.testing.assert_array_equal(counts, np.bincount(ids.ravel(), None, 50))
    initialization.initialize_unigram_bias(model, counts)
    loss = model.evaluate(batch, batch_size=64, return_dict=True, verbose=0)
    entropy = -(frequencies * np.log(frequencies)).sum()
    assert loss["generator_loss"] == pytest.approx(entropy, abs=0.1)
