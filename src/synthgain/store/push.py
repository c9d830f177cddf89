"""Upload a run's data set and its card to a hub. The token is the environment's (HF_TOKEN) and is never written."""

from __future__ import annotations

from synthgain.store.run import Run
from synthgain.types import SynthgainError


def push(run: Run, repo: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Create the data set repository where it is missing and upload RUN/data in one commit; the commit's URL.

    `endpoint` is the hub's address (default: the library's own, HF_ENDPOINT). SynthgainError where the
    hub refuses or cannot be reached (code 4).
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
        from huggingface_hub.utils import validate_repo_id
    except ImportError:
        raise SynthgainError("pushing needs huggingface_hub", next='pip install "synthgain[hub]"') from None
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise SynthgainError(f"{repo!r} is no repository", next="write OWNER/NAME")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise SynthgainError(f"{repo!r} is no name that a hub takes ({error})", next="write OWNER/NAME") from error
    status = run.record.get("status")
    if status != "complete":
        raise SynthgainError(
            f"this run is {status}, not complete",
            where=str(run.path),
            next="finish it, or copy RUN/data yourself if you mean to",
        )
    broken = tuple(
        kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError"
    )  # its HTTP client's own errors
    api = HfApi(endpoint=endpoint)
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            folder_path=run.data,
            repo_id=repo,
            repo_type="dataset",
            commit_message=f"synthgain: {run.record['recipe']['name']}",
        )
    except HfHubHTTPError as error:
        raise SynthgainError(
            f"the hub refused: {error}",
            where=repo,
            code=4,
            next="check HF_TOKEN and that you may write to this repository",
        ) from error
    except (*broken, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ or error  # a failed upload arrives wrapped
        raise SynthgainError(
            f"the hub cannot be reached or did not take a file ({type(cause).__name__}: {cause})",
            where=repo,
            code=4,
            next="check the network and HF_ENDPOINT",
        ) from error
    return str(done)
