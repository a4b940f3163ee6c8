"""Words of the glossary are found once, whole and in the longest form."""

import previews
import pytest
from docutils import nodes
from docutils.utils import new_document

TERMS = {"head": "term-head", "induction head": "term-induction", "token": "term-token"}


def test_only_the_first_mention_is_linked():
    seen = set()
    pieces = previews.split_at_terms("A token, more tokens and a Head.", TERMS, seen)
    assert pieces == [("A ", None), ("token", "token"), (", more tokens and a ", None), ("Head", "head"), (".", None)]
    assert previews.split_at_terms("Token", TERMS, seen) == [("Token", None)]


@pytest.mark.parametrize("text", ["ahead of tokenizers", "sub-token", "token-token", ""])
def test_parts_of_words_are_no_mentions(text):
    assert "".join(words for words, _ in previews.split_at_terms(text, TERMS, set())) == text
    assert all(term is None for _, term in previews.split_at_terms(text, TERMS, set()))


def test_longer_terms_win_and_plurals_count():
    assert previews.split_at_terms("Induction heads", TERMS, set()) == [("Induction heads", "induction head")]
    assert previews.split_at_terms("words", {}, set()) == [("words", None)]


def test_a_link_leads_to_the_entry():
    document = new_document("page")
    document += previews.link("tokens", "glossary.html#term-token")
    (reference,) = document.findall(nodes.reference)
    assert (reference["refuri"], reference.astext(), reference["classes"]) == ("glossary.html#term-token", "tokens", ["term"])
