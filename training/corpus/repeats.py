"""What was there before: repeats, near-duplicates, other sources' documents, held-out text."""

import hashlib
import re
from collections import Counter
from functools import cache

from training.corpus.paragraphs import WORD


def drop_repeated(documents, min_words=8):
    """Leave out paragraphs of ``min_words`` or more that stood before, in this or an earlier document."""
    seen, kept = set(), []
    for name, paragraphs in documents:
        own = []
        for paragraph in paragraphs:
            if len(WORD.findall(paragraph)) >= min_words:
                if paragraph in seen:
                    continue
                seen.add(paragraph)
            own.append(paragraph)
        kept.append((name, own))
    return kept


def folded(paragraph):
    """Words of a paragraph in lower case, numbers as 0 and names (capitals inside) as X."""
    words = re.findall(r"\w+", paragraph)
    return ["0" if w[0].isdigit() else "X" if i and w[0].isupper() else w.lower() for i, w in enumerate(words)]


@cache
def word_number(word):
    """A number for a word, the same in every process, which Python's own hash of a string is not."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=7).digest(), "little")


def shingles(words, n=5):
    """Fingerprints of the runs of ``n`` words; of the whole where it is shorter."""
    numbers = [word_number(word) for word in words]
    if len(numbers) < n:
        return [hash(tuple(numbers))]
    return list(map(hash, zip(*(numbers[i:] for i in range(n)), strict=False)))


def sampled(paragraphs, every=4):
    """A fixed sample of a document's runs of five words."""
    return {s for p in paragraphs for s in shingles(folded(p)) if s % every == 0}


class Repeats:
    """What stood before in a register: paragraphs seen, folded forms and shingles, to keep a repeat once and thin near-duplicates.

    Parameters
    ----------
    min_words : int
        Shorter paragraphs may come ``short`` times; others once, and their folded form ``alike`` times.
    overlap : float
        A paragraph of which so large a share of shingles stood before is a near-duplicate.
    """

    def __init__(self, min_words=4, short=20, alike=2, overlap=0.6):
        self.min_words, self.short, self.alike, self.overlap = min_words, short, alike, overlap
        self.exact: Counter[str] = Counter()
        self.forms: Counter[str] = Counter()
        self.seen: set[int] = set()

    def fault(self, paragraph):
        """'repeated', 'near-duplicate' or None; what is kept is remembered."""
        count = len(WORD.findall(paragraph))
        self.exact[paragraph] += 1
        if self.exact[paragraph] > (self.short if count < self.min_words else 1):
            return "repeated"
        if count < self.min_words:
            return None
        words = folded(paragraph)
        form = " ".join(words)
        self.forms[form] += 1
        if self.forms[form] > self.alike:
            return "near-duplicate"
        if count >= 2 * self.min_words:
            own = shingles(words)
            if sum(s in self.seen for s in own) >= self.overlap * len(own):
                return "near-duplicate"
            self.seen.update(own)
        return None


class HeldOut:
    """Paragraphs of the held-out documents, to find them and their near-duplicates elsewhere."""

    def __init__(self, documents, min_words=5, overlap=0.5):
        self.min_words, self.overlap = min_words, overlap
        self.forms, self.seen = set(), set()
        for paragraphs in documents:
            for paragraph in paragraphs:
                words = folded(paragraph)
                if len(words) >= min_words:
                    self.forms.add(" ".join(words))
                if len(words) >= 2 * min_words:
                    self.seen.update(shingles(words))

    def holds(self, paragraph):
        """Whether a paragraph, or half of its runs of five words, stands in a held-out document."""
        words = folded(paragraph)
        if len(words) < self.min_words:
            return False
        if " ".join(words) in self.forms:
            return True
        if len(words) < 2 * self.min_words:
            return False
        own = shingles(words)
        return sum(s in self.seen for s in own) >= self.overlap * len(own)


def hold_out(sizes, share):
    """Names of the held-out documents: in the order of their names' sha256, up to ``share`` of words.

    Parameters
    ----------
    sizes : dict of str to int
        Words of each document.
    """
    budget, chosen = share * sum(sizes.values()), set()
    for name in by_sha256(sizes):
        if sizes[name] <= budget:
            chosen.add(name)
            budget -= sizes[name]
    return chosen


def by_sha256(names):
    """Names in the order of their sha256."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
