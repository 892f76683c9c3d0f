"""ELECTRA for Keras 3: pre-train, fine-tune and share text encoders.

The public names, in the order in which data flows.
"""

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer_preprocessor import (
    ElectraPretrainerPreprocessor,
)
from keras_electra.text.builder import build_examples
from keras_electra.text.dataset import load_examples
from keras_electra.text.tokenizer import ElectraTokenizer
from keras_electra.text.vocabulary import train_vocabulary
from keras_electra.training.checkpoint import ResumableCheckpoint
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.optimizers import pretraining_optimizer

__all__ = [
    "ElectraBackbone",
    "ElectraPretrainer",
    "ElectraPretrainerPreprocessor",
    "build_examples",
    "load_examples",
    "ElectraTokenizer",
    "train_vocabulary",
    "ResumableCheckpoint",
    "ElectraAdamW",
    "pretraining_optimizer",
]
