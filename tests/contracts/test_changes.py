"""Changes made through a stack are those the store makes, and nobody sees what they made stale."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.contracts._outcomes import Call, perform
from tests.contracts._stacks import CACHING_STACKS, STACKS, build, layers, stacks_on
from tests.contracts._stores import OnlyGet

pytestmark = pytest.mark.timeout(60)

_OLD, _NEW = b"old" * 50, b"new" * 70
_FIRST, _SECOND = "first", "second"


@dataclass(frozen=True)
class Mutation:
    """A call that changes objects of a folder, `{}` standing for it."""

    method: str
    arguments: tuple = ()
    keywords: tuple = ()

    def within(self, folder):
        return [_within(value, folder) for value in self.arguments], {
            name: _within(value, folder) for name, value in self.keywords
        }


def _within(value, folder):
    if isinstance(value, list | tuple):
        return type(value)(_within(item, folder) for item in value)
    return value.format(folder) if isinstance(value, str) else value


CHANGES = {
    "put": Mutation("put", ("{}/first", _NEW), (("use_multipart", False),)),
    "put by keywords": Mutation("put", (), (("path", "{}/first"), ("file", _NEW), ("use_multipart", False))),
    "put, another spelling": Mutation("put", ("/{}/first/", _NEW), (("use_multipart", False),)),
    "put of a new object": Mutation("put", ("{}/third", _NEW), (("use_multipart", False),)),
    "put that fails": Mutation("put", ("{}/first", _NEW), (("mode", "create"), ("use_multipart", False))),
    "delete": Mutation("delete", ("{}/first",)),
    "delete by keyword": Mutation("delete", (), (("paths", "{}/first"),)),
    "delete several": Mutation("delete", (["{}/first", "/{}/second"],)),
    "delete a tuple": Mutation("delete", (("{}/first", "{}/second"),)),
    "delete a missing object": Mutation("delete", ("{}/missing",)),
    "copy": Mutation("copy", ("{}/first", "{}/second")),
    "copy by keywords": Mutation("copy", (), (("to", "{}/second"), ("from_", "{}/first"))),
    "copy by both": Mutation("copy", ("{}/first",), (("to", "{}/second"), ("overwrite", True))),
    "copy of a missing object": Mutation("copy", ("{}/missing", "{}/second")),
    "copy that fails": Mutation("copy", ("{}/first", "{}/second"), (("overwrite", False),)),
    "rename": Mutation("rename", ("{}/first", "{}/second")),
    "rename by keywords": Mutation("rename", (), (("from_", "{}/first"), ("to", "{}/second"))),
    "rename of a missing object": Mutation("rename", ("{}/missing", "{}/second")),
    "wrong arguments": Mutation("put", (), (("nowhere", "{}/first"),)),
}


def _prepared(library):
    folder = library.fresh_folder()
    library.opened.seed(f"{folder}/{_FIRST}", _OLD)
    library.opened.seed(f"{folder}/{_SECOND}", _OLD + b"!")
    return folder


def _apply(store, change, folder):
    arguments, keywords = change.within(folder)
    try:
        getattr(store, change.method)(*arguments, **keywords)
    except Exception as error:  # noqa: BLE001 - whichever error it is, a stack's must be the same
        return type(error)
    return None


async def _apply_async(store, change, folder):
    arguments, keywords = change.within(folder)
    try:
        await getattr(store, f"{change.method}_async")(*arguments, **keywords)
    except Exception as error:  # noqa: BLE001 - whichever error it is, a stack's must be the same
        return type(error)
    return None


def _seen(store, folder):
    calls = [Call("get", f"{folder}/{name}") for name in (_FIRST, _SECOND, "third")]
    calls += [Call("get_range", f"{folder}/{_FIRST}", {"start": 1, "length": 9}), Call("head", f"{folder}/{_SECOND}")]
    return [perform(store, call) for call in calls]


def _contents(library, folder):
    """Return what a folder holds, without what differs from folder to folder."""
    found = {}
    for name in (_FIRST, _SECOND, "third"):
        outcome = perform(library.store, Call("get", f"{folder}/{name}"))
        found[name] = outcome.error or outcome.content
    return found


def _changes_of(stack, library):
    """Return this stack's share of the changes, the smaller one where each request costs milliseconds."""
    stacks = stacks_on(library.kind)
    shares = max(2, len(stacks) // 2) if library.opened.capabilities.over_network else 3
    return dict(list(CHANGES.items())[stacks.index(stack) % shares :: shares])


@pytest.mark.parametrize("stack", STACKS)
def test_a_change_through_a_stack_is_the_store_s_and_is_seen(library, stack):
    for name, change in _changes_of(stack, library).items():
        bare_folder, folder = _prepared(library), _prepared(library)
        store = library.cold(stack)
        _seen(store, folder)
        assert _apply(store, change, folder) == _apply(library.store, change, bare_folder), name
        assert _contents(library, folder) == _contents(library, bare_folder), name
        assert _seen(store, folder) == _seen(library.store, folder), name


@pytest.mark.parametrize("stack", STACKS)
async def test_an_async_change_through_a_stack_is_the_store_s_and_is_seen(library, stack):
    for name, change in _changes_of(stack, library).items():
        bare_folder, folder = _prepared(library), _prepared(library)
        store = library.cold(stack)
        _seen(store, folder)
        found = await _apply_async(store, change, folder)
        assert found == await _apply_async(library.store, change, bare_folder), name
        assert _contents(library, folder) == _contents(library, bare_folder), name
        assert _seen(store, folder) == _seen(library.store, folder), name


@pytest.mark.parametrize("stack", CACHING_STACKS)
def test_a_change_drops_what_it_changes_and_nothing_else(library, stack):
    if not library.opened.capabilities.can_write:
        pytest.skip("a store that only reads")
    folder = _prepared(library)
    store = library.cold(stack)
    for name in (_FIRST, _SECOND):
        store.get(f"{folder}/{name}").buffer()
    store.put(f"{folder}/{_FIRST}", _NEW, use_multipart=False)
    caches = [layer for layer in layers(store, library.store) if hasattr(type(layer), "cached_paths")]
    assert [cache.cached_paths for cache in caches] == [[f"{folder}/{_SECOND}"]] * len(caches)
    assert [cache.cache_size for cache in caches] == [len(_OLD) + 1] * len(caches)


@pytest.mark.parametrize("stack", STACKS)
def test_a_store_that_lacks_a_change_lacks_it_in_every_stack(stack):
    store = build(stack, OnlyGet({}))
    for method in ("put", "delete", "copy", "rename", "put_async", "list"):
        assert not hasattr(store, method), method
