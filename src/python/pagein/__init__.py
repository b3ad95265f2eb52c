"""Remote objects as memory, numpy arrays and files: what is touched is fetched, and nothing else.

    import pagein

    with pagein.open("https://host/weights.bin") as weights:
        print(weights.memmap("float32")[123456789])     # fetches some KiB, not the object

The package is pure Python over libpagein.so.0 (CPython 3.9 and later); the manual of each option
and flag is pagein.h, or libpagein(3). PAGEIN_LIBRARY in the environment names another library file.

Objects and maps. open() pins one version of what the URL names, and gives an Object. Its whole is
a Map of all of it, made when it is first needed; Object.map() makes others, of a part or with other
flags. An Object does with its whole what one mostly wants: obj[a:b] and view() are memoryviews
without a copy, memmap() is a numpy array, file() a file for zipfile, h5py, pyarrow or sqlite3's
deserialize(). For the rest (populate, advise, pin, residency, error, retry, stats) see Map.

Errors and signals. There are two ways to read:

  - By calls: pread(), readinto(), obj[i] and file(). A page that can't be had is a FetchError; never
    a signal, whatever server, memory limit or other threads do. Ctrl-C interrupts the wait.
  - By touching: memoryviews, numpy arrays, and obj[a:b], which is one. It is memory, so there is
    nobody to raise an exception: a page that can't be had after all its retries is SIGBUS (SIGSEGV
    before Linux 6.6), which ends the process, as with any mmap. Ctrl-C is noticed when the bytes
    have come. populate() a range first, and touching it neither waits nor fails until it is dropped
    (Advice.DONTNEED, a memory limit: pin() it before). Flag.WAIT lets touches wait for the network.

pagein_guard() has no counterpart here. It makes an errno of the signal by a siglongjmp(3) out of
the function that touched, which may hold no lock and own no memory; all of Python's frames do. The
calls above have the kernel copy instead (process_vm_readv(2)), which says EFAULT to a bad page.

Closing. Views keep the memory: a Map that is only known to a numpy array lives as long as that. To
close() what has views is BufferError, as with mmap, and nothing has changed. A call under way in
another thread is not disturbed: the memory goes when it returns. There is no use after close.

Threads. All calls may be made from any thread, and give up the GIL while they wait. A touch waits
with whatever locks its thread holds, the GIL mostly among them (numpy gives it up in long loops);
that is never a deadlock, for a page is filled by a thread of the library that runs no Python. But
other threads of Python wait too: populate() first, or read by calls, where they shall not.

fork and pickle. A child of fork(2) has the same maps and fetches for itself (option fork=); that Python
3.12 and later warn of threads there is no matter: those of the library are forked in order. Pickling
an Object or a Map, for spawned workers, opens the same version there, or raises Error with ESTALE. It holds the
URL and the options as they were given, a password in the URL too.
"""
from ._abi import Advice, Cap, Flag, Fork, Integrity, State, Verify
from ._library import Caps, caps, stats
from .errors import Error, FetchError, NotFoundError, NotPermittedError, RefusedError, TimedOutError
from .files import File
from .maps import Map
from .objects import Object, open

__version__ = "0.1.0"

__all__ = [
    "Advice", "Cap", "Caps", "Error", "FetchError", "File", "Flag", "Fork", "Integrity", "Map",
    "NotFoundError", "NotPermittedError", "Object", "RefusedError", "State", "TimedOutError", "Verify",
    "caps", "open", "stats",
]
