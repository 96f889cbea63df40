"""The state of a cluster as v1 tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

if TYPE_CHECKING:
    from airflow_aml.workspace.computes import ComputeRecord

_STATES = (
    "preparingNodeCount",
    "runningNodeCount",
    "idleNodeCount",
    "unusableNodeCount",
    "leavingNodeCount",
    "preemptedNodeCount",
)


class AmlComputeStatus:
    """Always ready: there are no machines to wait for, so no node is counted."""

    def __init__(self, record: ComputeRecord) -> None:
        self._record = record
        self.allocation_state = "Steady"
        self.provisioning_state = "Succeeded"
        self.current_node_count = 0
        self.target_node_count = 0
        self.vm_size: Optional[str] = record.vm_size
        self.vm_priority = record.vm_priority
        self.errors: Optional[List[Any]] = None

    @property
    def node_state_counts(self) -> Dict[str, int]:
        """How many nodes are in which state."""
        return dict.fromkeys(_STATES, 0)

    @property
    def scale_settings(self) -> Dict[str, Any]:
        """The limits that were asked for."""
        return {
            "minNodeCount": self._record.min_nodes,
            "maxNodeCount": self._record.max_nodes,
            "nodeIdleTimeBeforeScaleDown": f"PT{self._record.idle_seconds}S",
        }

    def serialize(self) -> Dict[str, Any]:
        """All of it as a dict, under v1's names."""
        return {
            "errors": self.errors,
            "currentNodeCount": self.current_node_count,
            "targetNodeCount": self.target_node_count,
            "nodeStateCounts": self.node_state_counts,
            "allocationState": self.allocation_state,
            "provisioningState": self.provisioning_state,
            "scaleSettings": self.scale_settings,
            "vmPriority": self.vm_priority,
            "vmSize": self.vm_size,
        }

    def __repr__(self) -> str:
        return f"AmlComputeStatus({self.serialize()})"
