"""One module per implementation, imported in that implementation's environment only.

Each has `connect(url, bucket)` and tables of methods by name, called with the client, a path and options:

- `OPEN`: open an object as a file;
- `HDF5`: open an object as an HDF5 file by another library than h5py, which opens the file of `OPEN`;
- `LOAD`: load an object into memory, as a list of buffers;
- `STORE`: a store to read from; `OVER`: the same over a store that is given;
- `VIRTUAL`: a store and a reader factory for VirtualiZarr.
"""
