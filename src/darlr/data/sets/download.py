"""Download a public data set. It is checked, unpacked beside its place and moved there whole, or nothing is left."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from darlr.data.sets.registry import DataSet
from darlr.errors import ConfigError, DataError, MachineError
from darlr.io.files import naming
from darlr.io.folders import beside, left_behind

TIMEOUT = 30  # seconds without an answer
PAPERS = ("LICENSE", "README")  # files whose names start so move with the data


@dataclass(frozen=True)
class Downloaded:
    """Where the files are. sha256: that of the archive where no checksum of it is published, otherwise None."""

    folder: Path
    sha256: str | None


def download(entry: DataSet, into: Path, mirror: str | None = None, progress: bool = False) -> Downloaded:
    """Fetch and unpack a data set into `into`/NAME.

    mirror: a folder, or a file:// or http(s):// address, that holds its archive in place of its own address. Raises
    DataError when the data set has no address, is there already, cannot be reached or has another checksum, ConfigError
    for an unknown kind of address, and MachineError without the extra `download`.
    """
    target = into / entry.name
    if entry.archive is None or (entry.url is None and mirror is None):
        advice = entry.by_hand or f"Get {entry.archive} from its page and unpack it."
        place = f"Its files ({entry.sign} and others) belong in {target}"
        raise DataError(f"{entry.name} cannot be downloaded. {advice} Page: {entry.page}. {place}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target}: is there already; remove it to download again, or name another folder (option to)")
    with naming(target, kind=DataError):
        into.mkdir(parents=True, exist_ok=True)
        for leftover in left_behind(target, "download"):
            shutil.rmtree(leftover)
        part = beside(target, "download")
        part.mkdir()
        try:
            archive = _fetch(entry, part, mirror, progress)
            _unpack(archive, part / "content")
            folder = _with_sign(part / "content", entry, archive.name)
            if target.is_dir():
                target.rmdir()
            folder.rename(target)
            sha256 = None if entry.known_hash else str(_pooch().file_hash(str(archive), alg="sha256"))
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Downloaded(target, sha256)


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise MachineError("downloads need the extra `download`: pip install 'darlr[download]'") from error
    pooch.get_logger().setLevel("ERROR")
    return pooch


def _fetch(entry: DataSet, part: Path, mirror: str | None, progress: bool) -> Path:
    """The archive in the folder `part`. Its checksum is verified where one is published."""
    pooch = _pooch()
    import requests

    address = str(entry.url) if mirror is None else f"{mirror.rstrip('/')}/{entry.archive}"
    scheme = urlsplit(address).scheme
    remote = scheme in ("http", "https")
    if remote:
        downloader: Callable[..., None] = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT, chunk_size=2**16)
    elif "://" in address and scheme != "file":
        raise ConfigError(f"option mirror: {scheme}:// is not supported; use a folder, file://, http:// or https://")
    else:
        downloader = _copy
    try:
        return Path(
            pooch.retrieve(address, entry.known_hash, fname=entry.archive, path=str(part), downloader=downloader)
        )
    except ValueError as error:  # pooch raises it for another checksum
        raise DataError(
            f"{address}: does not match the checksum {entry.known_hash}: broken on the way, or another version; "
            f"nothing was kept. Try again, or compare with {entry.page}"
        ) from error
    except requests.exceptions.RequestException as error:
        raise DataError(
            f"{address}: cannot be downloaded ({_reason(error)}). Check the network; or get {entry.archive} from "
            f"{entry.page} on another machine and name its folder (option mirror)"
        ) from error


def _copy(address: str, output: str, _pooch: Any) -> None:
    """A downloader for folders and file:// addresses, with the signature that pooch expects."""
    source = Path(unquote(urlsplit(address).path)) if address.startswith("file://") else Path(address)
    if not source.is_file():
        raise DataError(f"{source}: file not found; the mirror must hold {source.name}")
    shutil.copyfile(source, output)


def _reason(error: Exception) -> str:
    """The innermost reason of an error about a connection, in one line."""
    while isinstance(inner := error.__cause__ or error.__context__, Exception):
        error = inner
    return str(error).split("\n", 1)[0] or type(error).__name__


def _unpack(archive: Path, into: Path) -> None:
    """Unpack the archive. Raises DataError when it is broken, or a member would land outside of the folder."""
    into.mkdir()
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(into)
        else:
            with tarfile.open(archive) as packed_tar:
                packed_tar.extractall(into, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a full disk, not the archive
        raise DataError(f"{archive.name}: is no whole archive ({error}); nothing was kept; try again") from error


def _with_sign(content: Path, entry: DataSet, archive: str) -> Path:
    """The unpacked folder that holds the data, with the licence and read-me files of those above it."""
    found = sorted(content.rglob(entry.sign), key=lambda path: len(path.parts))
    if not found:
        raise DataError(f"{archive}: holds no {entry.sign}; is it {entry.name}? Nothing was kept")
    folder = found[0].parent
    for above in folder.relative_to(content).parents:
        for paper in (content / above).iterdir():
            if paper.is_file() and paper.name.startswith(PAPERS) and not (folder / paper.name).exists():
                paper.rename(folder / paper.name)
    return folder
