"""The files of one commit of a hub repository in the local cache: how they are brought there and compared with the hub's checksums.

Files are kept in the cache of `huggingface_hub`, which gives a file its name only when it is complete, and which keeps the list of a
commit's files, so that without a network a full cache can be told from half a one. Each file is compared with the hub's checksum before it
is used, and a note beside the cache says that it was, so that this is done once. What goes wrong on the way is a `HubError` that says how
to do without the hub.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import cached_assets_path, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    IncompleteSnapshotError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from analysis_lib.models import checkpoint_files

TOKENIZER_FILES = (
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
FALL_BACK = "Set ANALYSIS_MODELS=embedded, or leave it unset, to work with the models embedded in this package."
LEFT_OVER_AFTER = 600  # seconds without a write, after which a partial download is one that was killed


class HubError(ConnectionError):
    """The hub did not give what was asked for; says how to do without it."""


@dataclass(frozen=True)
class Commit:
    """One commit of one repository: its files with their checksums, which are None where only the cache answered."""

    repository: str
    revision: str
    sha: str
    files: dict[str, str | None]
    online: bool

    @property
    def place(self) -> str:
        """What error messages call it."""
        return f"hub repository {self.repository} at {self.sha[:12]}"

    def cached(self, name: str) -> Path | None:
        """Where a file lies in the cache, if it does."""
        return cached_file(self.repository, name, self.sha)

    def small_files(self) -> list[str]:
        """The configuration and the tokenizer."""
        return [name for name in (checkpoint_files.CONFIG, *TOKENIZER_FILES) if name in self.files]


def cached_file(repository: str, name: str, revision: str) -> Path | None:
    """Where a file of a commit or branch lies in the cache, if it does."""
    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def assets(commit: Commit) -> Path:
    """The folder, beside the hub's cache, for what this library keeps about one commit."""
    try:
        return cached_assets_path("analysis_lib", commit.repository, commit.sha)
    except OSError as error:
        raise unwritable(commit.place, error) from error


def download(commit: Commit, names: Sequence[str]) -> Path:
    """Bring the files that are not cached yet into the cache, with a progress bar, and check them; give the commit's folder."""
    missing = [name for name in names if commit.cached(name) is None]
    try:
        if missing:
            snapshot_download(commit.repository, revision=commit.sha, allow_patterns=missing, local_files_only=not commit.online)
        _check(commit, names)
    except HubError:
        raise
    except Exception as error:
        raise refused(commit.repository, commit.revision, error) from error
    finally:
        _keep_revision(commit)
        _sweep(commit)
    first = commit.cached(names[0])
    if first is None:
        raise HubError(f"{commit.place}: expected {names[0]} in the cache after the download, found none")
    return first.parent


def _check(commit: Commit, names: Sequence[str]) -> None:
    """Compare files with the hub's checksums, each once, and take those that differ out of the cache again, all of them before an error.

    A download that fails or is killed may leave files that nobody compared: they have no note and are compared here the next time. Where
    only the cache answers, there is nothing to compare with.
    """
    damaged: dict[str, str] = {}
    absent: list[str] = []
    for name in names:
        path, expected = commit.cached(name), commit.files[name]
        if path is None:
            absent.append(name)
        elif expected is not None and (digest := _digest(commit, path, expected)) != expected:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            damaged[name] = digest
    if damaged:
        name, digest = next(iter(damaged.items()))
        others = f" So did {len(damaged) - 1} more." if len(damaged) > 1 else ""
        raise HubError(
            f"{commit.place}: {name} arrived damaged and was removed from the cache; expected the checksum {str(commit.files[name])[:12]},"
            f" found {digest[:12]}.{others} Another try fetches it again. {FALL_BACK}"
        )
    if absent:
        reason = "the connection ended before it was whole" if commit.online else "it is not in the cache"
        raise unreachable(commit.repository, OSError(f"{absent[0]}: {reason}"), "the cache does not hold all of it")


def _digest(commit: Commit, path: Path, expected: str) -> str:
    """A cached file's checksum, of the kind of the expected one; the file is read unless a note says that it was, and is as it was then."""
    found = path.stat()
    stamp = f"{found.st_size} {found.st_mtime_ns}"
    with contextlib.suppress(OSError, ValueError):
        if _note(commit, expected).read_text(encoding="utf-8") == stamp:
            return expected
    digest = checkpoint_files.sha256([path]) if len(expected) == 64 else _git_checksum(path)
    if digest == expected:
        with contextlib.suppress(OSError, ValueError):  # a cache that others fill and that is read here: read again next time
            write_whole(_note(commit, expected), stamp)
    return digest


def _note(commit: Commit, checksum: str) -> Path:
    """Where the size and the time of a file with this checksum are kept, once it was read; beside the hub's cache, not in it."""
    return cached_assets_path("analysis_lib", commit.repository, "checked") / checksum


def _git_checksum(path: Path) -> str:
    """What git calls a file of this content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _keep_revision(commit: Commit) -> None:
    """Note which commit a branch stands for, as the hub's client does when it is given the branch; here it is given the commit."""
    if commit.online and commit.revision != commit.sha:
        config = commit.cached(checkpoint_files.CONFIG)
        reference = config.parents[2] / "refs" / commit.revision if config else None
        with contextlib.suppress(OSError):  # a cache that others fill and that is read here
            if reference and not (reference.is_file() and reference.read_text(encoding="utf-8") == commit.sha):
                write_whole(reference, commit.sha)


def _sweep(commit: Commit) -> None:
    """Remove what downloads that were killed have left; the hub's client starts such a file again."""
    config = commit.cached(checkpoint_files.CONFIG)
    for path in (config.parents[2] / "blobs").glob("*.incomplete") if config else ():
        with contextlib.suppress(OSError):  # another process may have finished it meanwhile
            if time.time() - path.stat().st_mtime > LEFT_OVER_AFTER:
                path.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as handle:
        try:
            handle.write(text)
            handle.flush()
            os.chmod(handle.name, path.parent.stat().st_mode & 0o666)  # a temporary file is its owner's alone; a cache may be shared
            os.replace(handle.name, path)
        except OSError:
            os.unlink(handle.name)
            raise


def refused(repository: str, revision: str, error: Exception) -> Exception:
    """The sentence for what the hub's client raised; what is a kind of another stands before it."""
    named = f"hub repository {repository}"
    sentences = {
        HFValidationError: f"{repository!r} is no hub repository's name: expected 'owner/name' or 'name'.",
        GatedRepoError: f"{named}: its owner asks for a login before it can be read.",
        RepositoryNotFoundError: f"{named}: the hub has none of that name, or it is private.",
        RevisionNotFoundError: f"{named}: it has no revision {revision!r}.",
    }
    for kind, sentence in sentences.items():
        if isinstance(error, kind):
            return HubError(f"{sentence} {FALL_BACK}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        return unwritable(named, error)
    part = "holds only a part of it" if isinstance(error, IncompleteSnapshotError) else "does not hold all of it"
    return unreachable(repository, error, f"the cache {part}")


def unwritable(named: str, error: Exception) -> HubError:
    """The error for a cache on a disk that is full, or that others own."""
    return HubError(f"{named}: the cache cannot be written ({error}). HF_HOME names its folder. {FALL_BACK}")


def unreachable(repository: str, error: Exception, cache: str) -> HubError:
    """The error for a hub that did not answer, or stopped answering."""
    reason = str(error.__cause__ or error).splitlines()[0] if str(error.__cause__ or error) else type(error).__name__
    return HubError(f"hub repository {repository}: the hub cannot be reached and {cache} ({reason}). {FALL_BACK}")
