from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning import finetuning_rate
from tests import checks


def test_rate_follows_the_size():
    rates = [finetuning_rate(width) for width in (128, 256, 768, 1024)]
    assert rates == [3e-4, 3e-4, 1e-4, 5e-5]
    optimizer = default_optimizer(checks.tiny_backbone())
    assert optimizer.bias_correction and optimizer.weight_decay == 0.01
