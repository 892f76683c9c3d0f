import pytest

from keras_electra.pretraining import networks
from tests.checks import tiny_backbone


def test_special_ids_of_the_tokenizer_unless_given(tokenizer):
    class Preprocessor:
        pass

    preprocessor = Preprocessor()
    preprocessor.tokenizer = tokenizer
    assert networks.special_ids(preprocessor, None, None) == (4, [0, 2, 3, 4])
    assert networks.special_ids(preprocessor, 9, [9, 1]) == (9, [1, 9])
    with pytest.raises(ValueError, match="Received no `preprocessor`"):
        networks.special_ids(None, 4, None)


def test_a_generator_gets_the_embeddings_of_the_backbone():
    backbone, generator = tiny_backbone(), tiny_backbone(hidden_dim=4)
    shared = networks.prepare_generator(backbone, generator, True)
    assert shared.embeddings is backbone.embeddings
    assert shared.name == "generator"
    for ours, theirs in zip(
        shared.transformer_layers[0].get_weights(),
        generator.transformer_layers[0].get_weights(),
    ):
        assert (ours == theirs).all()
    assert networks.prepare_generator(backbone, shared, True) is shared
    assert networks.prepare_generator(backbone, generator, False) is generator
    with pytest.raises(ValueError, match="with_embeddings"):
        networks.prepare_generator(backbone, shared, False)
    assert networks.prepare_generator(backbone, backbone, True) is backbone
    assert networks.prepare_generator(backbone, None, True) is None


def test_embeddings_that_do_not_fit():
    other = tiny_backbone(max_sequence_length=5)
    with pytest.raises(ValueError, match="max_sequence_length"):
        networks.prepare_generator(tiny_backbone(), other, True)
