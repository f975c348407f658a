"""What readers and wrappers have in common: requests, responses, and how they are run."""
