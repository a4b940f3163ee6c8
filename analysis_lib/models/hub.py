"""Fetch a checkpoint from the Hugging Face hub, without pickles and without code.

Files are requested one by one, all from the commit that `config.json` came from, so
a repository that changes during the download cannot yield a mixture of two versions. They
are kept in the cache of `huggingface_hub`, which gives a file its name only when it is complete.
Without a network, the files in the cache are used. (`huggingface_hub.snapshot_download` would fetch
a repository in one call, but offline it also returns a folder that lacks some of its files.)
"""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from analysis_lib.models import checkpoint_files
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
FALL_BACK = "Set ANALYSIS_MODELS=embedded, or leave it unset, to work with the models embedded in this package."


class HubError(ConnectionError):
    """The hub did not give what was asked for; says how to do without it."""


@dataclass(frozen=True)
class Snapshot:
    """Files of one commit of one repository, in the local cache."""

    folder: Path
    repository: str
    commit: str


def fetch(repository: str) -> Snapshot:
    """Bring one repository's configuration, safetensors weights and tokenizer into the cache.

    Parameters
    ----------
    repository : str
        `owner/name` or `name`, with `@revision` for a branch, tag, commit or pull
        request other than `main` (`owner/name@refs/pr/3`).

    Returns
    -------
    Snapshot
        The folder, the repository and the commit.

    Raises
    ------
    HubError
        No network, or no such repository or revision; the message says how to fall back.
    CheckpointError
        The repository has no configuration or no safetensors weights; no weights have been fetched
        then.
    """
    repository, _, revision = repository.partition("@")
    folder, online = _commit_folder(repository, revision or "main")
    wanted = _Wanted(repository, folder.name, online)
    _fetch_weights(wanted)
    for name in TOKENIZER_FILES:
        wanted.optional(name)
    return Snapshot(folder, repository, folder.name)


@dataclass(frozen=True)
class _Wanted:
    """One commit of one repository, fetched file by file; from the cache alone when the hub did not answer."""

    repository: str
    commit: str
    online: bool

    def required(self, name: str) -> Path:
        """A file that must be there."""
        path = self.optional(name)
        if path is None:
            raise CheckpointError(f"hub repository {self.repository} at {self.commit[:12]}: expected {name}, found no such file")
        return path

    def optional(self, name: str) -> Path | None:
        """A file, or None where the hub says, now or when the cache was filled, that there is none.

        A network that fails halfway is an error; otherwise a tokenizer could be built from half of its files.
        """
        try:
            return Path(hf_hub_download(self.repository, name, revision=self.commit, local_files_only=not self.online))
        except LocalEntryNotFoundError as error:
            if try_to_load_from_cache(self.repository, name, revision=self.commit) is not None:
                return None
            raise _unreachable(self.repository, error) from error
        except EntryNotFoundError:
            return None
        # The client's HTTP library has changed with its versions, and with it what a lost connection raises.
        except Exception as error:
            raise _unreachable(self.repository, error) from error

    def holds(self, name: str) -> bool:
        """Whether the hub has a file, without fetching it; False if the hub does not answer."""
        try:
            get_hf_file_metadata(hf_hub_url(self.repository, name, revision=self.commit))
        except Exception:
            return False
        return True


def _commit_folder(repository: str, revision: str) -> tuple[Path, bool]:
    """The cache's folder for the commit that a revision stands for, and whether the hub answered.

    The hub is asked once without fetching, which fails at once where there is no network; a download would
    try again for half a minute. The folder's name is the commit.
    """
    try:
        get_hf_file_metadata(hf_hub_url(repository, checkpoint_files.CONFIG, revision=revision))
        return Path(hf_hub_download(repository, checkpoint_files.CONFIG, revision=revision)).parent, True
    except HFValidationError as error:
        raise HubError(f"{repository!r} is no hub repository's name: expected 'owner/name' or 'name'. {FALL_BACK}") from error
    except GatedRepoError as error:
        raise HubError(f"hub repository {repository}: its owner asks for a login before it can be read. {FALL_BACK}") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"hub repository {repository}: the hub has none of that name, or it is private. {FALL_BACK}") from error
    except RevisionNotFoundError as error:
        raise HubError(f"hub repository {repository}: it has no revision {revision!r}. {FALL_BACK}") from error
    except RemoteEntryNotFoundError as error:
        expected = f"expected {checkpoint_files.CONFIG}, found no such file"
        raise CheckpointError(f"hub repository {repository} at {revision}: {expected}") from error
    except Exception as error:
        cached = try_to_load_from_cache(repository, checkpoint_files.CONFIG, revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent, False
        raise _unreachable(repository, error) from error


def _fetch_weights(wanted: _Wanted) -> None:
    """Fetch the safetensors weights, whole or in shards, or say what the repository holds instead."""
    if wanted.optional(checkpoint_files.WEIGHTS):
        return
    index = wanted.optional(checkpoint_files.WEIGHTS_INDEX)
    if index:
        for name in checkpoint_files.shard_names(index):
            wanted.required(name)
        return
    names = [name for name in (*checkpoint_files.PICKLES, *checkpoint_files.OTHER_FORMATS) if wanted.holds(name)]
    place = f"hub repository {wanted.repository} at {wanted.commit[:12]}"
    message = checkpoint_files.no_safetensors(place, names, ", ".join(names) or "no weights under a known name")
    advice = f" If the repository has a pull request that converts it, load '{wanted.repository}@refs/pr/<number>'. "
    raise CheckpointError(message + advice + FALL_BACK)


def _unreachable(repository: str, error: Exception) -> HubError:
    """The error for a hub that did not answer."""
    reason = str(error.__cause__ or error).splitlines()[0] if str(error) else type(error).__name__
    return HubError(f"hub repository {repository}: the hub cannot be reached and the cache does not hold it ({reason}). {FALL_BACK}")
