"""A model that is in memory already, as one of this library: for a notebook that has loaded or trained its own."""

import copy
import hashlib

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from analysis_lib.models.architectures import architecture_of
from analysis_lib.models.folders import tokenizer_misfit, without_chunks
from analysis_lib.models.loading import LoadedModel


def wrap(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, name: str | None = None) -> LoadedModel:
    """Make a `LoadedModel` of a transformers model and its tokenizer.

    The model is left as it is: what is wrapped is a copy in evaluation mode with eager attention. The copy shares its weights with the
    model where they are float32, so it costs no memory, and a weight that is changed in place later changes in both. Sweeps therefore
    keep none of its results on disk.

    Parameters
    ----------
    model : PreTrainedModel
        Of an architecture that the library knows, with or without its language-model head.
    tokenizer : PreTrainedTokenizerBase, optional
        A fast one. Without it the model can be run on token ids, and has no vocabulary.
    name : str, optional
        What labels and captions call the model; by default where it came from.

    Returns
    -------
    LoadedModel
        With source `memory`, and the sha256 of the weights for its revision.

    Raises
    ------
    TypeError
        `model` is no transformers model.
    ValueError
        An unknown architecture, weights that are not finite, or a tokenizer that does not fit the embedding.

    Examples
    --------
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> wrap(GPT2LMHeadModel(GPT2Config(vocab_size=50, n_layer=1, n_head=2, n_embd=8)), name="toy").source
    'memory'
    """
    if isinstance(model, LoadedModel) or not isinstance(model, PreTrainedModel):
        raise TypeError(f"model: expected a transformers model (PreTrainedModel), found {type(model).__name__}")
    architecture_of(model)  # refuses an unknown one
    misfit = tokenizer_misfit(tokenizer, model.config.vocab_size) if tokenizer is not None else None
    if misfit:
        raise ValueError(f"tokenizer: {misfit}")
    broken = next((key for key, value in model.named_parameters() if not torch.isfinite(value).all()), None)
    if broken:
        raise ValueError(f"model: expected finite weights, found NaN or infinity in {broken}")
    name = name or model.config.name_or_path or type(model).__name__
    return LoadedModel(_reading_copy(model), tokenizer, name, "memory", name, _sha256(model))


def _reading_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in evaluation mode, float32, with eager attention, that shares the model's tensors where they are float32."""
    tensors = [*model.parameters(), *model.buffers()]
    shared = all(tensor.dtype == torch.float32 for tensor in tensors if tensor.is_floating_point())
    twin = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors} if shared else {})
    if not shared:
        twin = twin.float()
    twin.set_attn_implementation("eager")
    return without_chunks(twin).eval()


def _sha256(model: PreTrainedModel) -> str:
    """A hash of the names and values of all weights."""
    total = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        total.update(key.encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()
