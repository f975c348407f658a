"""How each implementation connects, opens and loads; one module an implementation, imported in its environment only.

Each has `connect(url, bucket)`, and tables of the ways it can be used, by name:

- `OPEN`: ways to open an object as a file, for scenarios that read bit by bit;
- `LOAD`: ways to have all of an object in memory, as a list of buffers;
- `STORE` and `VIRTUAL`, where there are obspec stores: a store to read ranges from, and a store with a reader
  factory for VirtualiZarr.

A way is a function of the client, the path and its own options.
"""
