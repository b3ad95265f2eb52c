"""fsspec: pagein://URL, and URLs of other schemes where they are asked for.

    import fsspec, pandas, pagein.filesystem

    with fsspec.open("pagein://https://host/table.csv") as file: ...
    pandas.read_csv("pagein://s3://bucket/table.csv")

    pagein.filesystem.register("http", "https", "s3")     # for those instead of fsspec's own
    pandas.read_csv("https://host/table.csv")

Importing this module registers "pagein" with fsspec. It is a prefix and not a link of a chain
("pagein::https://..."), because a chain makes the file system behind it as well, which is another
client with packages of its own. Chains may end here: "simplecache::pagein://https://...".

Only what names one object can be asked for: there are no listings (`pagein mount` has them), and no
writes. Objects are opened with the options that the file system was made with; their pages go with
them. Two files of one URL are two objects: cache_bytes=... keeps pages between them.
"""
from __future__ import annotations

import io
from typing import Any, Dict, List, Optional, Union

import fsspec
from fsspec.spec import AbstractFileSystem

from .errors import NotFoundError
from .files import File
from .objects import Object
from .objects import open as open_object

_PREFIX = "pagein://"


class PageinFileSystem(AbstractFileSystem):
    """Objects as files. Options are those of pagein.open()."""
    protocol = "pagein"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return path[len(_PREFIX):] if path.startswith(_PREFIX) else path

    def unstrip_protocol(self, name: str) -> str:
        return name if name.startswith(_PREFIX) else _PREFIX + name

    def _options(self) -> Dict[str, Any]:
        own = ("asynchronous", "loop", "batch_size", "use_listings_cache", "listings_expiry_time", "max_paths",
               "skip_instance_cache", "target_protocol", "target_options", "fo")
        return {name: value for name, value in self.storage_options.items() if name not in own}

    def _object(self, path: str) -> Object:
        return open_object(self._strip_protocol(path), **self._options())

    def info(self, path: str, **unused: Any) -> Dict[str, Any]:
        with self._object(path) as object:
            return {"name": object.url, "size": object.size, "type": "file", "ETag": object.version}

    def exists(self, path: str, **unused: Any) -> bool:
        try:
            self.info(path)
        except NotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, **unused: Any) -> List[Any]:
        """The object itself: there are no directories."""
        info = self.info(path)
        return [info] if detail else [info["name"]]

    def isdir(self, path: str) -> bool:
        return False

    def ukey(self, path: str) -> str:
        """Another one for each version."""
        info = self.info(path)
        return f"{info['name']} {info['ETag']} {info['size']}"

    def cat_file(self, path: str, start: Optional[int] = None, end: Optional[int] = None, **unused: Any) -> bytes:
        with self._object(path) as object:
            first, last, _ = slice(start, end).indices(object.size)
            return object.pread(max(0, last - first), first) if last > first else b""

    def _open(self, path: str, mode: str = "rb", block_size: Any = None,
              **unused: Any) -> Union[io.BufferedReader, File]:
        if mode != "rb":
            raise NotImplementedError("objects can only be read")
        return self._object(path).file()


def register(*protocols: str) -> None:
    """URLs of these schemes are pagein's from now on, in fsspec and all that uses it."""
    for protocol in protocols:
        fsspec.register_implementation(protocol, PageinFileSystem, clobber=True)


register("pagein")
