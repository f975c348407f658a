"""Make this library the filesystem of a URL scheme."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import fsspec
from obstore import parse_scheme
from obstore.store import HTTPStore, from_url

from obspec_utils._fsspec._filesystem import FSSPEC_OPTIONS, ObspecFileSystem
from obspec_utils._fsspec._instances import Instances, restore
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_store, check_text, positive_int
from obspec_utils.readers import open_reader
from obspec_utils.registry import ObjectStoreRegistry, get_url_key
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["register"]

_SCHEME = re.compile("[a-z][a-z0-9+.-]*")
_HTTP = {"http", "https"}
_QUERY = re.compile(r"\?[^/]*=")
_NO_BUCKETS = {"file", "local", "memory", ObspecFileSystem.protocol}
# The last one is the outermost.
_WRAPPERS = {
    "splitting": SplittingReadableStore,
    "caching": CachingReadableStore,
    "coalescing": CoalescingReadableStore,
}


def register(scheme: str, factory: Callable[..., Any] | None = None) -> None:
    """Read the URLs of a scheme through this library, wherever fsspec opens them in this process.

    For example, `xarray.open_dataset("s3://bucket/a.nc", engine="h5netcdf", storage_options={...})` then reads through
    `open_reader`. Another filesystem registered for the scheme is replaced. Every worker process needs the same call,
    except for filesystems and files of fsspec that are pickled and sent to it.

    These are the `storage_options`:

    - `caching`, `splitting`, `coalescing`: True to wrap each store in `CachingReadableStore`, `SplittingReadableStore`
      or `CoalescingReadableStore`, or a dict of its options. Coalescing is the outermost, splitting the innermost.
    - `reader`: what `open` returns, see `ObspecFileSystem`.
    - `max_cache_size`: the number of stores, one for each bucket, to keep; 10 by default.
    - `asynchronous`, `loop`, `batch_size`, `skip_instance_cache`: those of fsspec.
    - all others go to the factory. By default they are those of `obstore.store.from_url`: `config`, `client_options`,
      `retry_config`, `credential_provider`, and settings such as `region` and `skip_signature`.

    fsspec keeps one filesystem, with its stores and their caches, for equal options, until `clear_instance_cache()`.
    Options that may hide what makes them differ, such as a dataclass with fields not in its repr, are never equal.

    Parameters
    ----------
    scheme
        The scheme, such as "s3".
    factory
        Called with the bucket, or the host, and the options; returns its store. Pickled filesystems take it along.
        By default `obstore.store.from_url`.

    Raises
    ------
    ValueError
        If `scheme` is none, or no scheme of URLs with a bucket or a host; or if there is no factory and obstore has no
        store for it.
    TypeError
        If `scheme` is not a str, or `factory` can't be called.
    """
    scheme = check_text("scheme", scheme, "s3")
    example = f"{scheme}://bucket"
    if scheme in _NO_BUCKETS or _SCHEME.fullmatch(scheme) is None:
        msg = f'scheme must be one of URLs with a bucket or a host, such as "s3", got {scheme!r}'
        raise ValueError(msg)
    if factory is None:
        try:
            parse_scheme(example)
        except Exception as error:
            msg = f"obstore has no store for {example}: pass register({scheme!r}, factory)"
            raise ValueError(msg) from error
    elif not callable(factory):
        msg = f"factory must be a callable that returns the store of a bucket, got {shown(factory)}"
        raise TypeError(msg)
    fsspec.register_implementation(scheme, _class_of(scheme, factory), clobber=True)


@lru_cache(maxsize=64)
def _class_of(scheme: str, factory: Callable[..., Any] | None) -> type[_SchemeFileSystem]:
    """Return the filesystem of a scheme: always the same one, as its instances are shared."""
    members = {"protocol": scheme, "_factory": None if factory is None else staticmethod(factory)}
    made = Instances(f"ObspecFileSystem_{scheme}", (_SchemeFileSystem,), members)
    return cast("type[_SchemeFileSystem]", made)


def _restore(scheme: str, factory: Callable[..., Any] | None, options: dict[str, Any], own_token: str | None) -> Any:  # noqa: ANN401
    return restore(_class_of(scheme, factory), (), options, own_token)


def _from_url(scheme: str, bucket: str, **options: Any) -> Any:  # noqa: ANN401 - any store
    url = f"{scheme}://{bucket}"
    if scheme not in _HTTP:
        return from_url(url, **options)
    # Of a host of a cloud, `from_url` makes the store of a bucket, which the host alone does not name.
    allowed: Any = {"allow_http": scheme == "http", **(options.pop("client_options", None) or {})}
    return HTTPStore(url, client_options=allowed, **options)


class _SchemeFileSystem(ObspecFileSystem):
    """A filesystem whose paths start with a bucket."""

    cachable = True
    _factory: ClassVar[Callable[..., Any] | None]

    def __init__(self, *, reader: Callable[..., Any] = open_reader, max_cache_size: int = 10, **options: Any) -> None:  # noqa: ANN401
        fsspec_options = {name: options.pop(name) for name in FSSPEC_OPTIONS & options.keys()}
        wrappers = {name: _wrapper_options(name, options.pop(name, None)) for name in _WRAPPERS}
        factory = partial(self._factory or partial(_from_url, self.protocol), **options)
        make = partial(_wrapped, wrappers, factory)
        super().__init__(_Buckets(make, max_cache_size), reader=reader, **fsspec_options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # options may be secret

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return _restore, (self.protocol, self._factory, self.storage_options, self._own_token)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401 - a path, or a list of paths
        if cls.protocol in _HTTP and isinstance(path, str) and _QUERY.search(path):
            msg = f"{redacted(path)!r} has a query, which is not sent: read it by obspec_utils.stores.AiohttpStore"
            raise ValueError(msg)
        return super()._strip_protocol(path)

    def _url(self, path: str) -> str:
        return f"{self.protocol}://{path}"


class _Buckets(ObjectStoreRegistry[Any]):
    """A registry that makes the store of a bucket when it is first needed, and keeps the latest ones."""

    def __init__(self, make: Callable[[str], Any], max_stores: int) -> None:
        super().__init__()
        self._make = make
        self._max_stores = positive_int("max_cache_size", max_stores)
        self._registries: dict[str, ObjectStoreRegistry[Any]] = {}

    def resolve(self, url: str) -> tuple[Any, str]:
        scheme, bucket = get_url_key(url)
        if not bucket:
            msg = f"path must have a bucket, such as {scheme}://bucket/key, got {url!r}"
            raise ValueError(msg)
        found = self._registries.get(bucket)
        if found is None:
            made = ObjectStoreRegistry({f"{scheme}://{bucket}": self._make(bucket)})
            found = self._registries.setdefault(bucket, made)  # if several threads made one, all use the same
            for oldest in list(self._registries)[: -self._max_stores]:
                self._registries.pop(oldest, None)
        return found.resolve(url)


def _wrapper_options(name: str, value: object) -> dict[str, Any] | None:
    """Return the options of a wrapper; None for no wrapper."""
    if value is None or isinstance(value, bool):
        return {} if value else None
    if isinstance(value, dict):
        return value
    msg = f"{name} must be True or a dict of options, got {shown(value)}"
    raise TypeError(msg)


def _wrapped(wrappers: dict[str, dict[str, Any] | None], factory: Callable[[str], Any], bucket: str) -> Any:  # noqa: ANN401
    store = factory(bucket)
    check_store(store)
    for name, options in wrappers.items():
        if options is not None:
            store = _WRAPPERS[name](store, **options)
    return store
