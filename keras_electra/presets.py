"""Old home of what is in `keras_electra.hub` now."""

from keras_electra.hub.opening import PRETRAINER
from keras_electra.hub.opening import add_pretrainer_parts
from keras_electra.hub.opening import load_pretrainer
from keras_electra.hub.opening import saved_task
from keras_electra.hub.registry import find_presets
from keras_electra.hub.registry import presets_folder
from keras_electra.hub.registry import register_builtin_presets
from keras_electra.hub.saving import PresetSaving
