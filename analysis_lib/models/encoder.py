"""A BERT without a language-model head: what most published encoders are."""

from transformers import BertModel
from transformers.models.bert.configuration_bert import BertConfig


class Encoder(BertModel):
    """`BertModel` without the pooler, which is trained for one task or not at all and which nothing here reads.

    It predicts no tokens. Its weights are read through its own embedding: `extract` gives the transposed `W_E` for `W_U`.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
