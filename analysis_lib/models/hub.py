"""Fetch a checkpoint from the Hugging Face hub, without running any code of it.

All files come from one commit, which the hub is asked for first, together with its files and their checksums. Weights are taken from

1. safetensors files of that commit;
2. where it has pickled weights only, the safetensors files of the hub's conversion bot: an open pull request, `refs/pr/N`, whose pickles
   are the same as those of the commit;
3. where there is no such pull request, the pickles, which `models.pickles` converts once.

`hub_cache` brings the files of that commit into the cache and checks them.
"""

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_cached_repo_tree
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError

from analysis_lib.models import checkpoint_files, pickles
from analysis_lib.models.checkpoint_files import CheckpointError
from analysis_lib.models.hub_cache import (
    FALL_BACK,
    Commit,
    assets,
    cached_file,
    download,
    refused,
    unreachable,
    unwritable,
    write_whole,
)

# Who converts pickles on the hub, and what it calls its pull requests. Anybody may open a pull request, so the author counts.
BOT, BOT_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"
ABANDONED_AFTER = 86_400  # seconds without a new file, after which a conversion is one that was killed


@dataclass(frozen=True)
class Snapshot:
    """Files of one commit of one repository, in the local cache."""

    folder: Path
    repository: str
    commit: str


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
    download(commit, commit.small_files())
    if {checkpoint_files.WEIGHTS, checkpoint_files.WEIGHTS_INDEX} & set(commit.files):
        return _snapshot(commit)
    if {pickles.WEIGHTS, pickles.WEIGHTS_INDEX} & set(commit.files):
        conversion = _conversion(commit)
        return _snapshot(conversion) if conversion else _converted_here(commit)
    found = [name for name in commit.files if name in (*checkpoint_files.PICKLES, *checkpoint_files.OTHER_FORMATS)]
    message = checkpoint_files.no_safetensors(commit.place, found, ", ".join(found) or "no weights under a known name")
    raise CheckpointError(f"{message} {FALL_BACK}")


def _commit(repository: str, revision: str) -> Commit:
    """Ask the hub for a commit and its files, or the cache where the hub does not answer."""
    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=10)
    except (HFValidationError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise refused(repository, revision, error) from error
    # The client's HTTP library has changed with its versions, and with it what a lost connection raises.
    except Exception as error:
        return _cached_commit(repository, revision, error)
    files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or ()}
    return Commit(repository, revision, info.sha or revision, files, online=True)


def _cached_commit(repository: str, revision: str, cause: Exception) -> Commit:
    """What the cache knows about a revision; `HubError` where it knows nothing."""
    config = cached_file(repository, checkpoint_files.CONFIG, revision)
    if config is None:
        raise unreachable(repository, cause, "the cache does not hold it") from cause
    folder = config.parent
    try:
        names = [file.path for file in get_cached_repo_tree(repository, revision=folder.name)]
    except Exception:  # filled by a client that kept no lists: what is there is all that is known
        names = [file.name for file in folder.iterdir()]
    return Commit(repository, revision, folder.name, dict.fromkeys(names), online=False)


def _conversion(commit: Commit) -> Commit | None:
    """The commit of the bot's open pull request that converts the same pickles, if there is one.

    The choice is kept, so that the same files are found without a network.
    """
    record = assets(commit) / "conversion"
    if not commit.online:
        kept = record.read_text(encoding="utf-8") if record.is_file() else ""
        return _commit(commit.repository, kept) if kept else None
    try:
        asked = HfApi().get_repo_discussions(commit.repository, author=BOT, discussion_type="pull_request", discussion_status="open")
        requests = list(asked)
    except HfHubHTTPError:  # discussions can be switched off
        return None
    except Exception as error:
        raise refused(commit.repository, commit.revision, error) from error
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
                write_whole(record, found.revision)
            return found
    return None


def _snapshot(commit: Commit) -> Snapshot:
    """A commit's small files and safetensors weights."""
    names = commit.small_files()
    if checkpoint_files.WEIGHTS in commit.files:
        names.append(checkpoint_files.WEIGHTS)
    else:
        index = download(commit, [checkpoint_files.WEIGHTS_INDEX]) / checkpoint_files.WEIGHTS_INDEX
        names += [checkpoint_files.WEIGHTS_INDEX, *_present(commit, checkpoint_files.shard_names(index), index.name)]
    shown = f"{commit.repository}@{commit.revision}" if commit.revision.startswith("refs/pr/") else commit.repository
    return Snapshot(download(commit, names), shown, commit.sha)


def _converted_here(commit: Commit) -> Snapshot:
    """A folder with the small files and the weights of the pickles, converted when it is first asked for."""
    target = assets(commit) / "converted"
    _drop_abandoned(target.parent)
    if not target.is_dir():
        names = [pickles.WEIGHTS]
        if pickles.WEIGHTS not in commit.files:
            index = download(commit, [pickles.WEIGHTS_INDEX]) / pickles.WEIGHTS_INDEX
            names = _present(commit, checkpoint_files.shard_names(index, ".bin"), index.name)
        folder = download(commit, [*commit.small_files(), *names])
        logging.getLogger(__name__).warning(
            "%s holds pickled weights only: they are read as tensors and nothing else, and kept as safetensors in %s", commit.place, target
        )
        try:
            _convert(commit, [folder / name for name in names], target)
        except (OSError, SafetensorError) as error:  # the latter is what safetensors raises where a disk is full
            if not target.is_dir():  # else another process was faster, and its files are the same
                raise unwritable(commit.place, error) from error
    return Snapshot(target, f"{commit.repository} (converted from its pickles)", commit.sha)


def _convert(commit: Commit, weights: Sequence[Path], target: Path) -> None:
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


def _present(commit: Commit, names: Sequence[str], index: str) -> list[str]:
    """The shards that an index names, all of which the commit must have."""
    missing = [name for name in names if name not in commit.files]
    if missing:
        raise CheckpointError(f"{commit.place}: {index} names shards that are not there: {', '.join(missing)}")
    return list(names)
