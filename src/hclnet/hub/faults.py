"""What went wrong with the hub, as a sentence that says what to do."""

from __future__ import annotations

from huggingface_hub import constants, errors

from hclnet.hub.address import Address
from hclnet_runtime.text import as_clause

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def of_reading(error: Exception, address: Address, local_files_only: bool) -> str:
    """Why a model can't be had."""
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    place, there = f"{constants.ENDPOINT}/{address.repo}", "copy the hub's cache from a machine that has it, and set"
    if isinstance(error, errors.GatedRepoError):
        return f"{address} is gated: accept its terms at {place}, {_LOGIN}, and call this again."
    if isinstance(error, errors.DisabledRepoError):
        return f"The hub has disabled {address}: take another model, or ask its authors."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"There is no model {place}, or it is private: check the name; if it is private, {_LOGIN}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{place} has no revision {address.revision}: name one of its branches, tags or commits."
    if isinstance(error, errors.LocalTokenNotFoundError) or _status(error) == 401:
        return f"The hub does not accept your login, or there is none: {_LOGIN}."
    if local_files_only or isinstance(cause, errors.OfflineModeIsEnabled):
        return (
            f"{address} is not on this machine, and downloads are switched off (HF_HUB_OFFLINE or local_files_only): "
            f"allow them once; or {there} HF_HOME."
        )
    if isinstance(error, errors.LocalEntryNotFoundError | OSError):
        return (
            f"{address} is not on this machine and can't be had from {constants.ENDPOINT} ({_reason(cause)}): try "
            f"again {_when(cause)}; or {there} HF_HOME."
        )
    return f"{address} can't be had from {constants.ENDPOINT}: {_reason(error)}."


def of_writing(error: Exception, address: Address) -> str:
    """Why a model can't be uploaded."""
    place, status = f"{constants.ENDPOINT}/{address.repo}", _status(error)
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"The hub does not accept your login, or there is none: {_LOGIN}, with a token that may write."
    if status == 403:
        return f"You may not write to {place}: check the name, and that your token may write there."
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "Uploads are switched off by HF_HUB_OFFLINE: unset it and call this again."
    if isinstance(error, errors.BadRequestError):
        return f"The hub refuses this for {place}: {_reason(error)}."
    return f"{place} can't be written to ({_reason(error)}): try again {_when(error)}. Nothing is lost here."


def _when(error: BaseException) -> str:
    return "with a network" if _status(error) is None else "later"


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _reason(error: BaseException) -> str:
    """What the server says, or else the first line of what the library says."""
    said = getattr(error, "server_message", None) or str(error).strip().partition("\n")[0]
    return as_clause(ValueError(said)) if said else type(error).__name__
