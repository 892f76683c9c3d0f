"""ELECTRA for Keras 3: pre-train, fine-tune and share text encoders."""

from keras_electra.arguments import with_named_keywords
from keras_electra.conversion import export as _export  # noqa: F401
from keras_electra.conversion import pairs as _pairs  # noqa: F401  (registers)
from keras_electra.data.examples import load_examples
from keras_electra.distillation.distiller import Distiller
from keras_electra.distillation.distiller import distil
from keras_electra.generation.revision import Edit
from keras_electra.generation.revision import Revision
from keras_electra.generation.text_generator import ElectraTextGenerator
from keras_electra.generation.text_generator import (
    ElectraTextGeneratorPreprocessor,
)
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.model.transformer import layout_map
from keras_electra.presets import presets
from keras_electra.presets_saving import upload_preset
from keras_electra.pretraining.estimate import estimate
from keras_electra.pretraining.health import HealthMonitor
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.tasks.answers import Answer
from keras_electra.tasks.answers import Answers
from keras_electra.tasks.calibration import CoverageReport
from keras_electra.tasks.explanation import Explanation
from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.masked_lm import ElectraMaskedLMPreprocessor
from keras_electra.tasks.multiple_choice import ElectraMultipleChoice
from keras_electra.tasks.multiple_choice import (
    ElectraMultipleChoicePreprocessor,
)
from keras_electra.tasks.prompt_classifier import ElectraPromptClassifier
from keras_electra.tasks.prompt_classifier import (
    ElectraPromptClassifierPreprocessor,
)
from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.tasks.question_answering import ElectraQuestionAnswering
from keras_electra.tasks.replaced_token_detector import DetectedToken
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetectorPreprocessor,
)
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.tasks.text_embedder import ElectraTextEmbedderPreprocessor
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from keras_electra.tasks.token_classifier import (
    ElectraTokenClassifierPreprocessor,
)
from keras_electra.tasks.token_classifier import Entity
from keras_electra.text.build import build_examples
from keras_electra.text.build import merge_examples
from keras_electra.text.packing import gap_sentences
from keras_electra.text.tokenizer import ElectraTokenizer
from keras_electra.text.vocabulary import train_vocabulary
from keras_electra.training.checkpoint import ResumableCheckpoint
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import finetuning_optimizer
from keras_electra.training.recipes import pretraining_optimizer

__version__ = "0.1.0"  # also of the distribution
# In the order in which data flows. `presets` hides the module of its name.
__all__ = [
    "presets",
    "train_vocabulary",
    "ElectraTokenizer",
    "build_examples",
    "merge_examples",
    "load_examples",
    "layout_map",
    "ElectraBackbone",
    "ElectraPretrainerPreprocessor",
    "ElectraPretrainer",
    "pretraining_optimizer",
    "ElectraAdamW",
    "ResumableCheckpoint",
    "HealthMonitor",
    "estimate",
    "ElectraReplacedTokenDetectorPreprocessor",
    "ElectraReplacedTokenDetector",
    "DetectedToken",
    "ElectraMaskedLMPreprocessor",
    "ElectraMaskedLM",
    "finetuning_optimizer",
    "ElectraTextClassifierPreprocessor",
    "ElectraTextClassifier",
    "ElectraTokenClassifierPreprocessor",
    "ElectraTokenClassifier",
    "Entity",
    "ElectraQuestionAnsweringPreprocessor",
    "ElectraQuestionAnswering",
    "Answers",
    "Answer",
    "ElectraMultipleChoicePreprocessor",
    "ElectraMultipleChoice",
    "ElectraTextEmbedderPreprocessor",
    "ElectraTextEmbedder",
    "ElectraPromptClassifierPreprocessor",
    "ElectraPromptClassifier",
    "ElectraTextGeneratorPreprocessor",
    "ElectraTextGenerator",
    "Revision",
    "Edit",
    "CoverageReport",
    "Explanation",
    "Distiller",
    "distil",
    "gap_sentences",
    "upload_preset",
]

for _name in __all__:
    globals()[_name] = with_named_keywords(globals()[_name])
