"""Small archives of text for the corpus step: documents of its own making, packed like the real ones."""

import dataclasses
import hashlib
import io
import tarfile

from training.corpus import sources

OLD = "Nie wiem, czem się to skończy, bo z tym człowiekiem i z temi ludźmi nikt nie może pomódz ztąd do Warszawy. " * 5
SHARED = "Ten sam akapit stoi w obu podręcznikach ekonomii, słowo w słowo."


def novel(*paragraphs):
    """A TEI document that holds just these paragraphs."""
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    return f'<TEI xmlns="http://www.tei-c.org/ns/1.0"><text><body>{body}</body></text></TEI>'.encode()


def module(*paragraphs):
    """A CNXML document that holds just these paragraphs."""
    body = "".join(f"<para>{p}</para>" for p in paragraphs)
    return f'<document xmlns="http://cnx.rice.edu/cnxml"><content>{body}</content></document>'.encode()


def archive(path, files):
    """A tar.xz of (name, bytes), in that order."""
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def spelled(number):
    """A word of its own for every number."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03d}")


def sentences(kind, i, n):
    """Sentences that no other document has: every fifth word at least is of this document alone."""
    own = [f"{kind}{spelled(i)}{spelled(v)}" for v in range(n)]
    return [f"Oto zdanie {a} o domu {b} nad rzeką." for a, b in zip(own, own[1:] + own[:1], strict=True)]


def files(n=40):
    """Small archives for a source of every kind that needs no table: files by the source's name."""
    held = sentences("powieść", 0, n)
    novels = [(f"level1/POL{i:04d}_x.xml", novel(*sentences("powieść", i, n))) for i in range(n)]
    novels.append(("level1/POL9999_old.xml", novel(OLD)))
    modules = [
        (f"osbooks-{book}/modules/m{i:05d}/index.cnxml", module(SHARED, *sentences(book, i, n)))
        for book in ("mikro", "makro")
        for i in range(n)
    ]
    pages = [
        (f"docs/strona{i:03d}.md", "\n\n".join(["# Wstęp", *sentences("strona", i, n), "Ten akapit stoi na każdej stronie."]).encode())
        for i in range(n)
    ]
    acts = [(f"u/{i:03d}.txt", "\n\n".join(["USTAWA", f"o rzeczy {spelled(i)}", *sentences("akt", i, n)]).encode()) for i in range(n)]
    acts += [(f"u/9{i:02d}.txt", b"USTAWA\n\no zmianie ustawy o rzeczach\n\nArt. 1. Zmienia sie jedno slowo.") for i in range(3)]
    books = [(f"novels/{i:03d}.txt", "\n".join(sentences("książka", i, n)).encode()) for i in range(n)]
    books.append(("novels/copy.txt", "\n".join([*sentences("przedruk", 0, 5), *held]).encode()))
    return {"eltec": novels, "openstax": modules, "dynamics365": pages, "ustawy": acts, "novels-1900": books}


def pack(folder, packed):
    """Write archives of the files (by the source's name) and return their sources with the sums of these archives."""
    known = []
    for source in sources.SOURCES:
        if source.name in packed:
            path = archive(folder / source.archive, packed[source.name])
            known.append(dataclasses.replace(source, sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    return tuple(known)
