"""The graph of a pipeline that is published or has run, to be looked at (reference 1.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from airflow_aml.definition.data.model import Registered, definition_id
from airflow_aml.definition.spec import InputSpec, NodeSpec, ParameterRef, PipelineSpec, StepOutput
from airflow_aml.errors import NotServedError, UserErrorException


@dataclass(frozen=True)
class GraphPort:
    """An input or output of a node."""

    name: str
    node_id: str

    def __repr__(self) -> str:
        return f"{self.node_id}.{self.name}"


@dataclass(frozen=True)
class GraphEdge:
    """Data goes from a node's output to another's input."""

    source_port: GraphPort
    dest_port: GraphPort


@dataclass(frozen=True)
class GraphNode:
    """A step, or data that no step writes.

    Attributes:
        node_id: of a step, its task in Airflow.
        name: of a step, v1's name for it; of data the parameter, dataset or input that names it.
        params: names of the pipeline parameters that the step uses.
        after: ids of the steps that it waits for without reading from them.
        is_data: it is data.
    """

    node_id: str
    name: str
    inputs: Tuple[GraphPort, ...] = ()
    outputs: Tuple[GraphPort, ...] = ()
    params: Tuple[str, ...] = ()
    after: Tuple[str, ...] = ()
    is_data: bool = False

    def get_input(self, name: str) -> GraphPort:
        """The input of that name.

        Raises:
            UserErrorException: it has none.
        """
        return _named(self.inputs, name, f"node {self.name!r} has no input")

    def get_output(self, name: str) -> GraphPort:
        """The output of that name.

        Raises:
            UserErrorException: it has none.
        """
        return _named(self.outputs, name, f"node {self.name!r} has no output")


@dataclass(frozen=True)
class PipelineGraph:
    """The steps of a pipeline, the data they read, and the edges between. It cannot be changed.

    Attributes:
        params: the pipeline's parameters with their defaults.
    """

    nodes: List[GraphNode]
    edges: List[GraphEdge]
    params: Dict[str, Any] = field(default_factory=dict)

    @property
    def node_dict(self) -> Dict[str, GraphNode]:
        """Each node by its id."""
        return {node.node_id: node for node in self.nodes}

    @property
    def node_name_dict(self) -> Dict[str, List[GraphNode]]:
        """The nodes of each name: several steps may share one."""
        found: Dict[str, List[GraphNode]] = {}
        for node in self.nodes:
            found.setdefault(node.name, []).append(node)
        return found

    @property
    def module_nodes(self) -> List[GraphNode]:
        """The steps, in the order in which they can run."""
        return [node for node in self.nodes if not node.is_data]

    @property
    def datasource_nodes(self) -> List[GraphNode]:
        """The data that no step writes."""
        return [node for node in self.nodes if node.is_data]

    def get_node(self, node_id: str) -> GraphNode:
        """The node of that id.

        Raises:
            UserErrorException: there is none.
        """
        if node_id not in self.node_dict:
            raise UserErrorException(
                f"the graph has no node {node_id!r}.", hint=f"It has {', '.join(self.node_dict)}."
            )
        return self.node_dict[node_id]

    def __getattr__(self, name: str) -> Any:
        if name in _CHANGING:
            raise NotServedError(
                f"Graph.{name} is not served: this graph is there to be looked at.",
                hint="Pipeline(workspace, steps) makes a pipeline.",
            )
        raise AttributeError(f"'PipelineGraph' object has no attribute {name!r}")


_CHANGING = (
    "add_module_node",
    "add_datasource_node",
    "connect",
    "delete_node",
    "sequence",
    "validate",
    "finalize",
    "submit",
    "generate_yaml",
)
_DATA_OUTPUT = "output"


def graph_of(spec: PipelineSpec) -> PipelineGraph:
    """The graph that a spec describes."""
    data: Dict[str, GraphNode] = {}
    edges: List[GraphEdge] = []
    for node in spec.nodes:
        for port in node.inputs:
            source = port.source
            if isinstance(source, StepOutput):
                start = GraphPort(source.output, source.node)
            else:
                found = _data_node(port)
                start = data.setdefault(found.node_id, found).outputs[0]
            edges.append(GraphEdge(start, GraphPort(port.name, node.id)))
    steps = [_step_node(node) for node in spec.nodes]
    params = {each.name: each.default for each in spec.parameters}
    return PipelineGraph([*data.values(), *steps], edges, params)


def _step_node(node: NodeSpec) -> GraphNode:
    given = [*node.arguments, *node.parameters.values()]
    used = [each.name for each in given if isinstance(each, ParameterRef)]
    used += [port.parameter for port in node.inputs if port.parameter]
    return GraphNode(
        node.id,
        node.name,
        tuple(GraphPort(port.name, node.id) for port in node.inputs),
        tuple(GraphPort(port.name, node.id) for port in node.outputs),
        tuple(dict.fromkeys(used)),
        node.after,
    )


def _data_node(port: InputSpec) -> GraphNode:
    source = port.source
    assert not isinstance(source, StepOutput)
    name: Optional[str] = port.parameter
    if name is None:
        name = source.name if isinstance(source, Registered) else port.name
    identifier = f"parameter:{name}" if port.parameter else definition_id(source)
    outputs = (GraphPort(_DATA_OUTPUT, identifier),)
    return GraphNode(identifier, name, outputs=outputs, is_data=True)


def _named(ports: Tuple[GraphPort, ...], name: str, problem: str) -> GraphPort:
    for port in ports:
        if port.name == name:
            return port
    there = ", ".join(port.name for port in ports) or "none"
    raise UserErrorException(f"{problem} {name!r}; it has {there}.")
