"""Two tiny models, one of each architecture that the study of norms reads."""

import pytest

from tests.support import tiny
from tests.support.panels import loaded_with


@pytest.fixture(scope="session")
def gpt2():
    tokenizer = tiny.byte_level_tokenizer()
    return loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=3), tokenizer)


@pytest.fixture(scope="session")
def bert():
    tokenizer = tiny.herbert_tokenizer()
    return loaded_with(tiny.bert(vocab=len(tokenizer), layers=3), tokenizer)
