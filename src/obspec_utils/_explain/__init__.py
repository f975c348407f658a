"""Compare readers on one workload, and recommend one."""

from obspec_utils._explain._explanation import Explanation
from obspec_utils._explain._network import Network
from obspec_utils._explain._rows import ExplanationRow, Waste
from obspec_utils._explain._run import explain

__all__ = ["Explanation", "ExplanationRow", "Network", "Waste", "explain"]
