"""A tiny GPT-2 with all that is needed to read its tables."""

import pytest

from analysis_lib.models import LoadedModel
from analysis_lib.projections.readers import Reader
from tests.support import tiny


@pytest.fixture(scope="session")
def reader():
    tokenizer = tiny.byte_level_tokenizer()
    model = tiny.gpt2(vocab=len(tokenizer), layers=2, heads=2)
    return Reader.of(LoadedModel(model=model, tokenizer=tokenizer, name="tiny", source="folder", identifier="tiny", revision="0"))
