"""Rules for one document or paragraph: spelling, split words, citations, boilerplate, language, prose."""

import re

from training.corpus.paragraphs import WORD

OLD_SPELLING = re.compile(r"\b(?:tem|czem|temi|czemi|z[tk]ąd|módz|pomódz|\w{2,}[crd]y(?:ą|ę|i)|\w{2,}[cr]ya)\b", re.IGNORECASE)
# of 1918 to 1936, in scans of which a book has few pages: pięknemi, historja, Hiszpanji
INTERWAR_SPELLING = re.compile(
    OLD_SPELLING.pattern + r"|\b(?!ziemi\b|podziemi\b)\w{2,}emi\b|\b\w{2,}[bdfghkłlmnprtw]j(?:a|ą|ę|i|e|o|om|ach|ami)\b", re.IGNORECASE
)
OCR_FAULT = re.compile(r"[^\W\d_]\d[^\W\d_]|\b\d[^\W\d_]{2,}|[^\W\d_]\(\)")
OLD_SPELLINGS_PER_10K = 6  # the rate is bimodal: at most 2.7 in 63 novels, at least 12.2 in 37
OCR_FAULTS_PER_10K = 0.5  # digits inside words: 1.7 in the one bad scan, at most 0.1 elsewhere
SPLIT_WORD = re.compile(r"\b([^\W\d_]+)- ([^\W\d_]+)\b")
CONJUNCTIONS = {"a", "albo", "bądź", "czy", "i", "lub", "oraz"}
CITATION = re.compile(r"\s*\((?:tekst jedn\.|tekst jednolity|t\. ?j\.|j\. ?t\.|jedn\. tekst)?[\s:,–-]*Dz\. ?U\.[^()]*\)", re.IGNORECASE)
POLISH = {
    "i",
    "w",
    "na",
    "z",
    "do",
    "się",
    "nie",
    "to",
    "że",
    "o",
    "jest",
    "od",
    "za",
    "po",
    "jak",
    "przez",
    "dla",
    "co",
    "lub",
    "oraz",
    "ale",
    "tym",
    "tego",
    "czy",
    "może",
    "ich",
    "jego",
    "jej",
    "tej",
    "są",
    "być",
    "był",
    "była",
    "było",
    "aby",
    "które",
    "który",
    "która",
    "której",
    "którego",
    "których",
    "którym",
    "jeśli",
    "jeżeli",
    "gdy",
    "tak",
    "już",
    "ze",
    "we",
    "pod",
    "przed",
    "przy",
    "nad",
    "bez",
    "u",
    "a",
}
ENGLISH = {
    "the",
    "of",
    "and",
    "is",
    "for",
    "that",
    "this",
    "with",
    "are",
    "you",
    "be",
    "or",
    "as",
    "it",
    "from",
    "an",
    "can",
    "your",
    "if",
    "not",
    "when",
    "will",
}
POLISH_LETTER = re.compile(r"[ąćęłńóśźż]", re.IGNORECASE)
FOREIGN_WORD = re.compile(r"[qvx]|th|sh|ck|ph|oo|ee|ou|tion|ing$", re.IGNORECASE)
PUNCTUATION = re.compile(r"[\s–—„”“\"…!?.,:;()'’»«-]")


def rate_per_10k(pattern, text):
    """Matches of a pattern per 10,000 words of a text."""
    return 1e4 * len(pattern.findall(text)) / max(1, len(WORD.findall(text)))


def spelling_fault(paragraphs, pattern=OLD_SPELLING, scanned=False):
    """Why a document is left out for its spelling or, where it was scanned, its scanning faults; None where it is not."""
    text = "\n".join(paragraphs)
    old, noise = rate_per_10k(pattern, text), rate_per_10k(OCR_FAULT, text)
    if old > OLD_SPELLINGS_PER_10K:
        return f"old spelling, {old:.1f} per 10,000 words"
    if scanned and noise > OCR_FAULTS_PER_10K:
        return f"scanning faults, {noise:.1f} per 10,000 words"
    return None


def join_split_words(text, counts):
    """Mend words cut at a page's or line's end ("nie- możliwością").

    Joined only when the whole occurs elsewhere at least twice, and not before a
    conjunction ("czternasto- czy piętnastoletnia" stands as it is).

    Parameters
    ----------
    counts : Counter
        Frequencies of lower-cased words in the whole corpus.

    Returns
    -------
    (str, int)
        The text and how many words were joined.
    """
    joined = 0

    def mend(match):
        nonlocal joined
        left, right = match.groups()
        if right.lower() in CONJUNCTIONS or not right.islower() or counts[(left + right).lower()] < 2:
            return match.group(0)
        joined += 1
        return left + right

    return SPLIT_WORD.sub(mend, text), joined


def without_citations(paragraph):
    """A paragraph without the journals where statutes were published: "(Dz. U. Nr 31, poz. 214, z 1984 r. Nr 35, poz. 187)"."""
    return CITATION.sub("", paragraph)


def is_boilerplate(paragraph):
    """Whether a paragraph is a formula of its kind: lists of journals, evidence by card number, instructions that amend a statute."""
    words = max(1, len(WORD.findall(paragraph)))
    journals = len(re.findall(r"\bpoz\.|\bDz\. ?U\.|\bNr \d", paragraph))
    cards = len(re.findall(r"\bk\. ?\d|\bkart[ay] \d", paragraph))
    formula = re.search(r"otrzymuj[eą] brzmienie|skreśla się|dodaje się|zastępuje się|w brzmieniu:|uchyla się", paragraph)
    amending = formula and words < 60 and re.search(r"\b(?:art|ust|lit)\.|\bpkt\b|§|\bwyraz|załącznik", paragraph)
    evidence = words < 40 and re.match(r"\W*(?:bezsporne,? )?dow[oó]dy? ?[:–-]", paragraph, re.IGNORECASE)
    return bool(journals > max(2, words / 12) or cards > max(1, words / 15) or amending or evidence)


def is_prose(paragraph):
    """Whether letters make up most of a paragraph and its words are words, not signs, numbers or single letters."""
    solid = PUNCTUATION.sub("", paragraph)
    words = WORD.findall(paragraph)
    if not words or max(map(len, words)) < 3:
        return False
    single = sum(len(w) == 1 and w.lower() not in "aiouwz" for w in words)
    signs = len(re.findall(r"[a-ząćęłńóśźż][A-Z]|[^\W\d_]_[^\W\d_]|[^\W\d_]\.[a-zA-Z]|[\\/{}=<>|;]\S", paragraph))
    return sum(map(len, words)) >= 0.7 * len(solid) and single <= 0.4 * len(words) and signs <= 0.15 * len(words)


def is_polish(paragraph):
    """Whether words that look foreign do not outnumber small words and letters of Polish, of which eight words have one."""
    words = [w.lower() for w in WORD.findall(paragraph)]
    polish = sum(w in POLISH or bool(POLISH_LETTER.search(w)) for w in words)
    foreign = sum((w in ENGLISH or bool(FOREIGN_WORD.search(w))) and not POLISH_LETTER.search(w) for w in words)
    return foreign <= polish and (polish > 0 or len(words) < 8)
