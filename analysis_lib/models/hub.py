"""Fetch a checkpoint from the Hugging Face hub, without running any code of it.

All files come from one commit, which the hub is asked for first, together with its files and their checksums. Weights are taken from

1. safetensors files of that commit;
2. where it has pickled weights only, the safetensors files of the hub's conversion bot: an open pull request, `refs/pr/N`, whose pickles
   are the same as those of the commit;
3. where there is no such pull request, the pickles, which `models.pickles` converts once.

Files are kept in the cache of `huggingface_hub`, which gives a file its name only when it is complete, and which keeps the list of a
commit's files, so that without a network a full cache can be told from half a one. Each file is compared with the hub's checksum before it
is used, and a note beside the cache says that it was, so that this is done once.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, cached_assets_path, get_cached_repo_tree, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    IncompleteSnapshotError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from analysis_lib.models import checkpoint_files, pickles
from analysis_lib.models.checkpoint_files import CheckpointError

TOKENIZER_FILES = (
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
# Who converts pickles on the hub, and what it calls its pull requests. Anybody may open a pull request, so the author counts.
BOT, BOT_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"
FALL_BACK = "Set ANALYSIS_MODELS=embedded, or leave it unset, to work with the models embedded in this package."
LEFT_OVER_AFTER = 600  # seconds without a write, after which a partial download is one that was killed
ABANDONED_AFTER = 86_400  # seconds without a new file, after which a conversion is one that was killed


class HubError(ConnectionError):
    """The hub did not give what was asked for; says how to do without it."""


@dataclass(frozen=True)
class Snapshot:
    """Files of one commit of one repository, in the local cache."""

    folder: Path
    repository: str
    commit: str


@dataclass(frozen=True)
class _Commit:
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
        found = try_to_load_from_cache(self.repository, name, revision=self.sha)
        return Path(found) if isinstance(found, str) else None

    def small_files(self) -> list[str]:
        """The configuration and the tokenizer."""
        return [name for name in (checkpoint_files.CONFIG, *TOKENIZER_FILES) if name in self.files]


def fetch(repository: str) -> Snapshot:
    """Bring one repository's configuration, weights and tokenizer into the cache.

    Parameters
    ----------
    repository : str
        `owner/name` or `name`, with `@revision` for a branch, tag, commit or pull
        request other than `main` (`owner/name@refs/pr/3`).

    Returns
    -------
    Snapshot
        A folder with safetensors weights, the repository (with `@refs/pr/N` where the weights are the bot's conversion, and a remark
        where they were converted here) and the commit.

    Raises
    ------
    HubError
        No network, no such repository or revision, a login that is asked for, or a file that arrived damaged; the message says how to
        fall back. Files that are whole stay in the cache, and the next call goes on from there.
    CheckpointError
        The repository has no configuration or no weights, or pickles that hold anything but tensors.
    """
    name, _, revision = repository.partition("@")
    commit = _commit(name, revision or "main")
    if checkpoint_files.CONFIG not in commit.files:
        raise CheckpointError(f"{commit.place}: expected {checkpoint_files.CONFIG}, found no such file")
    _download(commit, commit.small_files())
    if {checkpoint_files.WEIGHTS, checkpoint_files.WEIGHTS_INDEX} & set(commit.files):
        return _snapshot(commit)
    if {pickles.WEIGHTS, pickles.WEIGHTS_INDEX} & set(commit.files):
        conversion = _conversion(commit)
        return _snapshot(conversion) if conversion else _converted_here(commit)
    found = [name for name in commit.files if name in (*checkpoint_files.PICKLES, *checkpoint_files.OTHER_FORMATS)]
    message = checkpoint_files.no_safetensors(commit.place, found, ", ".join(found) or "no weights under a known name")
    raise CheckpointError(f"{message} {FALL_BACK}")


def _commit(repository: str, revision: str) -> _Commit:
    """Ask the hub for a commit and its files, or the cache where the hub does not answer."""
    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=10)
    except (HFValidationError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _refused(repository, revision, error) from error
    # The client's HTTP library has changed with its versions, and with it what a lost connection raises.
    except Exception as error:
        return _cached_commit(repository, revision, error)
    files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or ()}
    return _Commit(repository, revision, info.sha or revision, files, online=True)


def _cached_commit(repository: str, revision: str, cause: Exception) -> _Commit:
    """What the cache knows about a revision; `HubError` where it knows nothing."""
    config = try_to_load_from_cache(repository, checkpoint_files.CONFIG, revision=revision)
    if not isinstance(config, str):
        raise _unreachable(repository, cause, "the cache does not hold it") from cause
    folder = Path(config).parent
    try:
        names = [file.path for file in get_cached_repo_tree(repository, revision=folder.name)]
    except Exception:  # filled by a client that kept no lists: what is there is all that is known
        names = [file.name for file in folder.iterdir()]
    return _Commit(repository, revision, folder.name, dict.fromkeys(names), online=False)


def _conversion(commit: _Commit) -> _Commit | None:
    """The commit of the bot's open pull request that converts the same pickles, if there is one.

    The choice is kept, so that the same files are found without a network.
    """
    record = _assets(commit) / "conversion"
    if not commit.online:
        kept = record.read_text(encoding="utf-8") if record.is_file() else ""
        return _commit(commit.repository, kept) if kept else None
    try:
        asked = HfApi().get_repo_discussions(commit.repository, author=BOT, discussion_type="pull_request", discussion_status="open")
        requests = list(asked)
    except HfHubHTTPError:  # discussions can be switched off
        return None
    except Exception as error:
        raise _refused(commit.repository, commit.revision, error) from error
    for request in requests:
        if request.author != BOT or request.title != BOT_TITLE or not request.is_pull_request or request.status != "open":
            continue
        found = _commit(commit.repository, f"refs/pr/{request.num}")
        read = {
            *commit.small_files(),
            *filter(pickles.is_weights, commit.files),
        }  # what the request was made from, and what is read beside it
        same = found.small_files() == commit.small_files() and all(found.files.get(name) == commit.files[name] for name in read)
        if same and {checkpoint_files.WEIGHTS, checkpoint_files.WEIGHTS_INDEX} & set(found.files):
            with contextlib.suppress(OSError):  # then the hub is asked again next time
                _write_whole(record, found.revision)
            return found
    return None


def _snapshot(commit: _Commit) -> Snapshot:
    """A commit's small files and safetensors weights."""
    names = commit.small_files()
    if checkpoint_files.WEIGHTS in commit.files:
        names.append(checkpoint_files.WEIGHTS)
    else:
        index = _download(commit, [checkpoint_files.WEIGHTS_INDEX]) / checkpoint_files.WEIGHTS_INDEX
        names += [checkpoint_files.WEIGHTS_INDEX, *_present(commit, checkpoint_files.shard_names(index), index.name)]
    shown = f"{commit.repository}@{commit.revision}" if commit.revision.startswith("refs/pr/") else commit.repository
    return Snapshot(_download(commit, names), shown, commit.sha)


def _converted_here(commit: _Commit) -> Snapshot:
    """A folder with the small files and the weights of the pickles, converted when it is first asked for."""
    target = _assets(commit) / "converted"
    _drop_abandoned(target.parent)
    if not target.is_dir():
        names = [pickles.WEIGHTS]
        if pickles.WEIGHTS not in commit.files:
            index = _download(commit, [pickles.WEIGHTS_INDEX]) / pickles.WEIGHTS_INDEX
            names = _present(commit, checkpoint_files.shard_names(index, ".bin"), index.name)
        folder = _download(commit, [*commit.small_files(), *names])
        logging.getLogger(__name__).warning(
            "%s holds pickled weights only: they are read as tensors and nothing else, and kept as safetensors in %s", commit.place, target
        )
        try:
            _convert(commit, [folder / name for name in names], target)
        except (OSError, SafetensorError) as error:  # the latter is what safetensors raises where a disk is full
            if not target.is_dir():  # else another process was faster, and its files are the same
                raise _unwritable(commit.place, error) from error
    return Snapshot(target, f"{commit.repository} (converted from its pickles)", commit.sha)


def _convert(commit: _Commit, weights: Sequence[Path], target: Path) -> None:
    """Make the folder of converted weights beside its place and move it there."""
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix="converting-"))
    try:
        for name in commit.small_files():
            shutil.copyfile(weights[0].parent / name, made / name)
        pickles.convert(weights, made, commit.place)
        rights = target.parent.stat().st_mode & 0o777  # what tempfile and safetensors make is its owner's alone; a cache may be shared
        for path in made.iterdir():
            path.chmod(rights & 0o666)
        made.chmod(rights)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _drop_abandoned(folder: Path) -> None:
    """Remove what conversions that were killed have left; one that another process has begun within a day is let alone."""
    for made in folder.glob("converting-*"):
        with contextlib.suppress(OSError):  # another process may have finished or removed it meanwhile
            if time.time() - made.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(made, ignore_errors=True)


def _assets(commit: _Commit) -> Path:
    """The folder, beside the hub's cache, for what this library keeps about one commit."""
    try:
        return cached_assets_path("analysis_lib", commit.repository, commit.sha)
    except OSError as error:
        raise _unwritable(commit.place, error) from error


def _present(commit: _Commit, names: Sequence[str], index: str) -> list[str]:
    """The shards that an index names, all of which the commit must have."""
    missing = [name for name in names if name not in commit.files]
    if missing:
        raise CheckpointError(f"{commit.place}: {index} names shards that are not there: {', '.join(missing)}")
    return list(names)


def _download(commit: _Commit, names: Sequence[str]) -> Path:
    """Bring the files that are not cached yet into the cache, with a progress bar, and check them; give the commit's folder."""
    missing = [name for name in names if commit.cached(name) is None]
    try:
        if missing:
            snapshot_download(commit.repository, revision=commit.sha, allow_patterns=missing, local_files_only=not commit.online)
        _check(commit, names)
    except HubError:
        raise
    except Exception as error:
        raise _refused(commit.repository, commit.revision, error) from error
    finally:
        _keep_revision(commit)
        _sweep(commit)
    first = commit.cached(names[0])
    if first is None:
        raise HubError(f"{commit.place}: expected {names[0]} in the cache after the download, found none")
    return first.parent


def _check(commit: _Commit, names: Sequence[str]) -> None:
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
        raise _unreachable(commit.repository, OSError(f"{absent[0]}: {reason}"), "the cache does not hold all of it")


def _digest(commit: _Commit, path: Path, expected: str) -> str:
    """A cached file's checksum, of the kind of the expected one; the file is read unless a note says that it was, and is as it was then."""
    found = path.stat()
    stamp = f"{found.st_size} {found.st_mtime_ns}"
    with contextlib.suppress(OSError, ValueError):
        if _note(commit, expected).read_text(encoding="utf-8") == stamp:
            return expected
    digest = checkpoint_files.sha256([path]) if len(expected) == 64 else _git_checksum(path)
    if digest == expected:
        with contextlib.suppress(OSError, ValueError):  # a cache that others fill and that is read here: read again next time
            _write_whole(_note(commit, expected), stamp)
    return digest


def _note(commit: _Commit, checksum: str) -> Path:
    """Where the size and the time of a file with this checksum are kept, once it was read; beside the hub's cache, not in it."""
    return cached_assets_path("analysis_lib", commit.repository, "checked") / checksum


def _git_checksum(path: Path) -> str:
    """What git calls a file of this content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _keep_revision(commit: _Commit) -> None:
    """Note which commit a branch stands for, as the hub's client does when it is given the branch; here it is given the commit."""
    if commit.online and commit.revision != commit.sha:
        config = commit.cached(checkpoint_files.CONFIG)
        reference = config.parents[2] / "refs" / commit.revision if config else None
        with contextlib.suppress(OSError):  # a cache that others fill and that is read here
            if reference and not (reference.is_file() and reference.read_text(encoding="utf-8") == commit.sha):
                _write_whole(reference, commit.sha)


def _sweep(commit: _Commit) -> None:
    """Remove what downloads that were killed have left; the hub's client starts such a file again."""
    config = commit.cached(checkpoint_files.CONFIG)
    for path in (config.parents[2] / "blobs").glob("*.incomplete") if config else ():
        with contextlib.suppress(OSError):  # another process may have finished it meanwhile
            if time.time() - path.stat().st_mtime > LEFT_OVER_AFTER:
                path.unlink()


def _write_whole(path: Path, text: str) -> None:
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


def _refused(repository: str, revision: str, error: Exception) -> Exception:
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
        return _unwritable(named, error)
    part = "holds only a part of it" if isinstance(error, IncompleteSnapshotError) else "does not hold all of it"
    return _unreachable(repository, error, f"the cache {part}")


def _unwritable(named: str, error: Exception) -> HubError:
    """The error for a cache on a disk that is full, or that others own."""
    return HubError(f"{named}: the cache cannot be written ({error}). HF_HOME names its folder. {FALL_BACK}")


def _unreachable(repository: str, error: Exception, cache: str) -> HubError:
    """The error for a hub that did not answer, or stopped answering."""
    reason = str(error.__cause__ or error).splitlines()[0] if str(error.__cause__ or error) else type(error).__name__
    return HubError(f"hub repository {repository}: the hub cannot be reached and {cache} ({reason}). {FALL_BACK}")
