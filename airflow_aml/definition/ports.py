"""From a step's ``inputs``, ``outputs`` and ``arguments`` to named ports and argument templates.

Objects may be listed and used in arguments, or only used: an output config or dataset in
``arguments`` makes its port by itself, a ``PipelineData`` has to be listed (reference 0.1, 1.4).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Union

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.datareference import DataPathComputeBinding, DataReference
from airflow_aml.definition.names import check_port_name
from airflow_aml.definition.outputs import OutputDatasetConfig
from airflow_aml.definition.parameters import PipelineParameter
from airflow_aml.definition.pipelinedata import (
    InputPortBinding,
    PipelineData,
    PipelineOutputDataset,
)
from airflow_aml.definition.producer import Producer
from airflow_aml.definition.spec import (
    DATA_PATH,
    DATASET,
    Argument,
    InputRef,
    OutputRef,
    ParameterRef,
    Text,
)
from airflow_aml.definition.texts import check_argument
from airflow_aml.errors import NotServedError, PipelineDefinitionError, PipelineTypeError

_LONGEST_SHOWN = 100
_SPECIFIC = {"direct": 0, "download": 1, "mount": 1}


InputData = Union[
    AbstractDataset,
    DataReference,
    OutputDatasetConfig,
    PipelineData,
    PipelineOutputDataset,
    PipelineParameter,
]
OutputData = Union[OutputDatasetConfig, PipelineData]


@dataclass(frozen=True)
class InputPort:
    """An input as the step's author gave it; ``data`` is what it reads."""

    name: str
    data: InputData
    mode: str
    style: str
    path_on_compute: Optional[str] = None
    named: bool = True

    @property
    def producer(self) -> Optional[Producer]:
        """Who writes the data, if a step does."""
        return getattr(self.data, "producer", None)

    @property
    def identity(self) -> object:
        """Equal for ports that read the same data."""
        data, producer = self.data, self.producer
        if isinstance(data, PipelineParameter):
            return PipelineParameter, data.name
        if producer is None:
            return data
        reading = getattr(data, "reading", None)
        return producer if reading is None else (producer, reading, getattr(data, "operations", ()))


@dataclass(frozen=True)
class OutputPort:
    """An output as the step's author gave it."""

    name: str
    data: OutputData


class Ports:
    """The ports and argument templates of one step.

    Raises:
        PipelineDefinitionError, PipelineTypeError: with v1's texts (reference 2.2); ``where`` names
            the step and the argument.
    """

    __slots__ = ("_where", "arguments", "inputs", "outputs", "parameters")

    def __init__(
        self,
        step_name: str,
        inputs: Optional[Sequence[Any]],
        outputs: Optional[Sequence[Any]],
        arguments: Optional[Sequence[Any]],
    ):
        self._where = f"step {step_name!r}"
        self.inputs: List[InputPort] = []
        self.outputs: List[OutputPort] = []
        self.arguments: List[Argument] = []
        self.parameters: Dict[str, PipelineParameter] = {}
        raw = []
        for index, item in enumerate(_listed(inputs, "inputs", self._where)):
            if isinstance(item, AbstractDataset):
                raw.append((index, item))
            else:
                self._add_input(item, f"{self._where}, inputs[{index}]")
        for index, item in enumerate(_listed(outputs, "outputs", self._where)):
            self._add_output(item, f"{self._where}, outputs[{index}]")
        for index, item in enumerate(_listed(arguments, "arguments", self._where)):
            self.arguments.append(self._argument(item, f"{self._where}, arguments[{index}]"))
        for index, item in raw:
            self._add_raw_dataset(item, f"{self._where}, inputs[{index}]")
        self._rename_collisions()

    # -- inputs ---------------------------------------------------------------------------------

    def _add_input(self, item: Any, where: str) -> InputPort:
        port = _input_port(item, where)
        if isinstance(port.data, PipelineParameter):
            self.use_parameter(port.data, where)
        return self._keep_input(port, where)

    def _keep_input(self, port: InputPort, where: str) -> InputPort:
        if not port.named:
            for known in self.inputs:
                if known.identity == port.identity:
                    return self._merge(known, port)
            port = replace(port, name=self._free_name("input"))
        for known in self.inputs:
            if known.name == port.name:
                if known.identity != port.identity:
                    raise PipelineDefinitionError(
                        f"[{port.name}] is repeated. Input port names must be unique.", where=where
                    )
                return self._merge(known, port)
        self.inputs.append(port)
        return port

    def _merge(self, known: InputPort, port: InputPort) -> InputPort:
        # v1 refuses the same dataset in `inputs` and, with a mode, in `arguments` (reference 0.2).
        if _SPECIFIC[port.mode] > _SPECIFIC[known.mode] or port.path_on_compute:
            merged = replace(known, mode=port.mode, path_on_compute=port.path_on_compute)
            self.inputs[self.inputs.index(known)] = merged
            return merged
        return known

    def _add_raw_dataset(self, dataset: AbstractDataset, where: str) -> None:
        # v1 refuses a dataset without as_named_input although its guide shows one (reference 0.2).
        if any(port.data is dataset for port in self.inputs):
            return
        # A registered name may hold what no port's may.
        name = re.sub(r"\W|^(?=\d)", "_", dataset.name or "", flags=re.ASCII)
        name = name or self._free_name("input")
        self._keep_input(InputPort(name, dataset, "direct", "dataset"), where)

    def _free_name(self, kind: str) -> str:
        taken = {port.name for port in self.inputs} | {port.name for port in self.outputs}
        number = 1 + len(self.inputs if kind == "input" else self.outputs)
        while f"{kind}_{number}" in taken:
            number += 1
        return f"{kind}_{number}"

    def _rename_collisions(self) -> None:
        names = {port.name for port in self.outputs}
        renamed = {port.name: f"INPUT_{port.name}" for port in self.inputs if port.name in names}
        if renamed:
            self.inputs = [replace(p, name=renamed.get(p.name, p.name)) for p in self.inputs]
            self.arguments = [
                InputRef(renamed.get(a.name, a.name)) if isinstance(a, InputRef) else a
                for a in self.arguments
            ]

    # -- outputs --------------------------------------------------------------------------------

    def _add_output(self, item: Any, where: str) -> OutputPort:
        if isinstance(item, PipelineOutputDataset):
            item = item.pipeline_data
        if isinstance(item, PipelineData):
            name = check_port_name(item.output_name, "output", where)
        elif isinstance(item, OutputDatasetConfig):
            name = item.name or self._free_name("output")
        else:
            raise PipelineTypeError(f"Unexpected output type: {type(item)}", where=where)
        for port in self.outputs:
            if port.name == name:
                if port.data.producer is item.producer:
                    return port
                raise PipelineDefinitionError(
                    f"[{name}] is repeated. Output port names must be unique.", where=where
                )
        port = OutputPort(name, item)
        self.outputs.append(port)
        return port

    def _output_of(self, data: Union[OutputData, PipelineOutputDataset]) -> Optional[OutputPort]:
        return next((p for p in self.outputs if p.data.producer is data.producer), None)

    def _input_of(self, data: PipelineData) -> Optional[InputPort]:
        return next((p for p in self.inputs if p.producer is data.producer), None)

    # -- arguments ------------------------------------------------------------------------------

    def _argument(self, item: Any, where: str) -> Argument:
        if isinstance(item, (str, int, float)):
            return Text(check_argument(str(item), where))
        if isinstance(item, os.PathLike):
            return Text(check_argument(os.fspath(item), where))
        if isinstance(item, PipelineParameter):
            _refuse_data(item, where)
            self.use_parameter(item, where)
            return ParameterRef(item.name)
        return self._data_argument(item, where)

    def _data_argument(self, item: Any, where: str) -> Argument:
        if isinstance(item, (DatasetConsumptionConfig, DataReference, tuple)):
            return InputRef(self._add_input(item, where).name)
        if isinstance(item, OutputDatasetConfig):
            port = self._output_of(item) or self._add_output(item, where)
            return OutputRef(port.name)
        if isinstance(item, InputPortBinding):
            return self._bound_argument(item, where)
        if isinstance(item, PipelineData):
            return self._pipeline_data_argument(item, where)
        if isinstance(item, PipelineOutputDataset):
            written = self._output_of(item)
            if written is not None:
                return OutputRef(written.name)
            return InputRef(self._add_input(item, where).name)
        raise PipelineTypeError(_unsupported(item), where=where)

    def _bound_argument(self, item: InputPortBinding, where: str) -> Argument:
        for port in self.inputs:
            if port.name == item.name:
                return InputRef(port.name)
        raise PipelineDefinitionError(
            f"Input/Output {item.name} appears in arguments list but is not in the input/output "
            "lists",
            where=where,
        )

    def _pipeline_data_argument(self, item: PipelineData, where: str) -> Argument:
        written, read = self._output_of(item), self._input_of(item)
        if written is not None:
            return OutputRef(written.name)
        if read is not None:
            return InputRef(read.name)
        raise PipelineDefinitionError(
            f"Input/Output {item.name} appears in arguments list but is not in the input/output "
            "lists",
            where=where,
        )

    def use_parameter(self, parameter: PipelineParameter, where: str) -> None:
        """Notes that the step uses a pipeline parameter.

        Raises:
            PipelineDefinitionError: it uses one of that name with another default already.
        """
        known = self.parameters.setdefault(parameter.name, parameter)
        if known is not parameter and known.spec != parameter.spec:
            raise PipelineDefinitionError(
                f"Pipeline parameters with same name {parameter.name} but different values "
                f"{known.default_value!r}, {parameter.default_value!r} used",
                where=where,
            )


def _input_port(item: Any, where: str) -> InputPort:
    if isinstance(item, DatasetConsumptionConfig):
        return _dataset_port(item, where)
    if isinstance(item, PipelineData):
        return InputPort(check_port_name(item.name, "input", where), item, "mount", "reference")
    if isinstance(item, PipelineOutputDataset):
        return _dataset_port(item.as_config(), where)
    if isinstance(item, DataReference):
        return _reference_port(item, where)
    if isinstance(item, InputPortBinding):
        return _bound_port(item, where)
    if isinstance(item, tuple):
        return _data_path_port(item, where)
    if isinstance(item, PipelineParameter):
        _refuse_data(item, where)
    hint = None
    if isinstance(item, OutputDatasetConfig):
        hint = "Call its as_input() to read it in another step."
    raise PipelineTypeError(f"Unexpected input type: {type(item)}", where=where, hint=hint)


def _dataset_port(item: DatasetConsumptionConfig, where: str) -> InputPort:
    data = item.dataset
    if isinstance(data, PipelineParameter) and data.spec.type != DATASET:
        raise PipelineTypeError(
            f"the default value of pipeline parameter {data.name!r} is no dataset.",
            where=where,
            hint="A DataPath is read as (parameter, DataPathComputeBinding()).",
        )
    readable = (AbstractDataset, OutputDatasetConfig, PipelineOutputDataset, PipelineParameter)
    if not isinstance(data, readable):
        raise PipelineTypeError(f"Unexpected input type: {type(data)}", where=where)
    named = item.name is not None
    return InputPort(item.name or "", data, item.mode, "dataset", item.path_on_compute, named)


def _reference_port(item: DataReference, where: str) -> InputPort:
    if item.mode == "upload":
        raise PipelineDefinitionError(
            f"Input [{item.data_reference_name}] has an invalid mode [upload]", where=where
        )
    return InputPort(item.data_reference_name, item, item.mode, "reference", item.path_on_compute)


def _bound_port(item: InputPortBinding, where: str) -> InputPort:
    data = item.bind_object
    if isinstance(data, PipelineData):
        return InputPort(item.name, data, item.bind_mode, "reference", item.path_on_compute)
    if isinstance(data, DataReference):
        bound = _reference_port(data, where)
        return replace(bound, name=item.name, mode=item.bind_mode)
    if isinstance(data, tuple):
        bound = _data_path_port(data, where)
        return replace(bound, name=item.name, mode=item.bind_mode)
    if isinstance(data, PipelineOutputDataset):
        data = data.as_config()
    if isinstance(data, DatasetConsumptionConfig):
        inner = _dataset_port(data, where)
        return replace(inner, name=item.name, mode=item.bind_mode, named=True)
    raise PipelineTypeError(f"Unexpected input type: {type(data)}", where=where)


def _data_path_port(item: Sequence[Any], where: str) -> InputPort:
    """``(PipelineParameter(DataPath), DataPathComputeBinding())``; v1 names it as the parameter."""
    parameter, binding = item if len(item) == 2 else (None, None)
    if not isinstance(parameter, PipelineParameter) or parameter.spec.type != DATA_PATH:
        raise PipelineTypeError(f"Unexpected input type: {type(item)}", where=where, hint=_PAIR)
    if not isinstance(binding, DataPathComputeBinding):
        raise PipelineTypeError(f"Unexpected input type: {type(binding)}", where=where, hint=_PAIR)
    name = re.sub(r"\W|^(?=\d)", "_", parameter.name, flags=re.ASCII)
    if binding.mode == "upload":
        raise PipelineDefinitionError(f"Input [{name}] has an invalid mode [upload]", where=where)
    return InputPort(
        check_port_name(name, "input", where),
        parameter,
        binding.mode,
        "reference",
        binding.path_on_compute,
    )


_PAIR = "A DataPath parameter is read as (parameter, DataPathComputeBinding())."


def _refuse_data(parameter: PipelineParameter, where: str) -> None:
    """A parameter of data is read through a binding, which makes a path of it.

    Raises:
        PipelineTypeError: it is one, and stands there alone.
    """
    kind = parameter.spec.type
    if kind in (DATA_PATH, DATASET):
        hint = "A dataset parameter is read as DatasetConsumptionConfig(name, parameter)."
        raise PipelineTypeError(
            f"pipeline parameter {parameter.name!r} stands for data, so it cannot be used alone.",
            where=where,
            hint=_PAIR if kind == DATA_PATH else hint,
        )


def _listed(value: Any, name: str, where: str) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return value
    raise PipelineTypeError(f"{name} must be a list, not {type(value).__name__}.", where=where)


def _unsupported(item: Any) -> str:
    if item is None:
        return "None cannot be an argument. Leave it out, or write what the script should get."
    if isinstance(item, AbstractDataset):
        return (
            f"{type(item)} cannot be directly used as a step's argument. Please call the "
            "as_named_input method, and as_mount or as_download on its result."
        )
    shown = repr(item)
    if " at 0x" in shown or len(shown) > _LONGEST_SHOWN:  # another text in each process
        shown = f"{type(item).__module__}.{type(item).__qualname__}"
    return (
        f"a value of type {type(item).__name__} cannot be an argument: {shown}. Arguments are "
        "texts, numbers, PipelineParameters and the step's inputs and outputs."
    )


def step_parameters(params: Any, ports: Ports, where: str) -> Dict[str, Union[Text, ParameterRef]]:
    """v1's ``params=``: values that the script finds as ``AML_PARAMETER_<name>``.

    Raises:
        PipelineDefinitionError: a name that one of the arguments' parameters has already.
        PipelineTypeError: a value that is no text, number or PipelineParameter.
    """
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise PipelineTypeError(f"params must be a dict, not {type(params).__name__}.", where=where)
    result: Dict[str, Union[Text, ParameterRef]] = {}
    used = set(ports.parameters)
    for name, value in params.items():
        here = f"{where}, params[{name!r}]"
        if isinstance(value, PipelineParameter):
            _refuse_data(value, here)
            ports.use_parameter(value, here)
            result[str(name)] = ParameterRef(value.name)
        elif name in used:
            raise PipelineDefinitionError(f"Parameter name {name} is already in use", where=here)
        elif isinstance(value, (str, int, float)):
            result[str(name)] = Text(str(value))
        else:
            raise PipelineTypeError(_unsupported(value), where=here)
    return result


def check_runconfig_parameters(value: Any, where: str) -> None:
    """v1's ``runconfig_pipeline_params`` only ever sets node and process counts.

    Raises:
        NotServedError: any is given.
    """
    if value:
        raise NotServedError(
            f"runconfig_pipeline_params ({', '.join(map(str, value))}) come with the compute "
            "release.",
            where=where,
        )
