"""File formats, as far as their structure says which bytes will be read: no I/O."""
