"""The parts of `obspec_utils.fsspec`."""
