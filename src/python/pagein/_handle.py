"""Who owns what the library gave, and when it goes. All memory safety of the package is here.

    Map ------------------------------> Handle ---> struct pagein_map
     memoryview --> exporter --> Hold -----^
     numpy array -----^

A Handle ends its map (or object) when nobody refers to it any more, and by nothing else. Map.close()
only lets go of the Map's reference. A view refers to its exporter, as the buffer protocol demands of
memoryview, numpy and everybody else, the exporter to a Hold, and that to the Handle. So memory can't go
while something shows it, without a lock and without a count that could be wrong; a call that uses the
pointer holds the Handle in its frame.

Handle.holds tells close() whether there are views, for BufferError; that the exporter refers to its Map,
too, is for Object.close(), which looks at the Maps that there are. The answer is exact unless a view is made
in another thread at that very moment; then close() succeeds, and the memory stays until the view goes.

The garbage collector clears weak references to objects in a dead cycle, and runs weakref.finalize() and
__del__() of all of them, in any order, while __del__() of one may still touch a view that is in the same
cycle. Handles and Holds are hidden from it (PyObject_GC_UnTrack): they are freed by their reference
count alone, when the cycle has been taken apart, and no Python of it runs any more. They refer to nothing
that could refer back, so they are never a part of a cycle.

At the end of the process the same holds: what is still shown is left to the kernel.

Rejected: weakref.finalize() (see above; and it runs at exit), sys.getrefcount() (its numbers differ from
one Python to the next), a lock (a child of fork(2) may find it taken).
"""
from __future__ import annotations

import ctypes
import weakref
from typing import Any, Callable, Set

_untrack = ctypes.pythonapi.PyObject_GC_UnTrack
_untrack.argtypes = [ctypes.py_object]
_untrack.restype = None


class Handle:
    """A pointer that the library gave, and the function that ends it."""
    __slots__ = ("pointer", "holds", "_end")

    def __init__(self, pointer: int, end: Callable[[int], Any]) -> None:
        self.pointer = pointer
        self.holds: Set["weakref.ref[Hold]"] = set()  # add() and discard() are atomic
        self._end = end
        _untrack(self)

    def __del__(self) -> None:
        self._end(self.pointer)


class Hold:
    """There are views of the handle's memory as long as this lives."""
    __slots__ = ("handle", "__weakref__")

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        handle.holds.add(weakref.ref(self, handle.holds.discard))
        _untrack(self)


def make_view(handle: Handle, owner: Any, kind: Any, address: int, writable: bool) -> memoryview:
    """A view of all bytes of an array type `kind` at address, which keeps the handle, and its owner known."""
    exporter = kind.from_address(address)
    exporter.hold = Hold(handle)
    exporter.owner = owner
    view = memoryview(exporter).cast("B")
    return view if writable else view.toreadonly()
