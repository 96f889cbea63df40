"""Why a step ran: one sentence that names what differs from the nearest earlier result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import layout
from airflow_aml.reuse.compare import differences, joined, shown
from airflow_aml.reuse.places import Places

if TYPE_CHECKING:
    from airflow_aml.reuse.aside import Aside
    from airflow_aml.reuse.environment import Environment
    from airflow_aml.reuse.fingerprint import Fingerprint
    from airflow_aml.reuse.index import Index
    from airflow_aml.reuse.records import StepRecord
    from airflow_aml.reuse.walk import WalkStep
    from airflow_aml.workspace.home import Home

FIRST = "no earlier result of this step"
_MOST_CHANGES = 3
_MOST_CANDIDATES = 200
_ODD = (AirflowAmlError, OSError, ValueError, LookupError, TypeError, AttributeError)


class Explainer:
    """Compares keys with what a workspace has recorded.

    Args:
        home: the workspace.
        index: its records.
        dag_id: the DAG whose steps are explained.
        search: when a step has no record of its own, look for the most similar one of all steps;
            it reads up to 200 records, so it is for a person who asks.
        aside: what the workspace need not hold to be told of.
    """

    def __init__(
        self,
        home: Home,
        index: Index,
        dag_id: str,
        *,
        search: bool = False,
        aside: Aside | None = None,
    ) -> None:
        self._home = home
        self._index = index
        self._dag_id = dag_id
        self._search = search
        self._aside = aside
        self._places = Places(home)

    def miss(self, step: WalkStep, fingerprint: Fingerprint) -> str:
        """Why there is no result for that key, without a full stop. It never raises.

        For :attr:`~airflow_aml.reuse.walk.Rules.why`.
        """
        try:
            earlier = self._index.latest(self._dag_id, step.id)
            if earlier is None and self._search:
                earlier = self.most_similar(fingerprint.record)
                if earlier is not None:
                    changes = self._sentence(earlier, fingerprint.record, step)
                    name = f"{(earlier.step or earlier.task_id)!r} of {earlier.dag_id!r}"
                    return f"{FIRST}; it is like {name}, but {changes}"
            if earlier is None:
                return FIRST
            return self._sentence(earlier, fingerprint.record, step)
        except _ODD as error:
            return f"its key changed (the earlier record cannot be compared: {error})"

    def changes(
        self, old: StepRecord, new: Mapping[str, Any], step: WalkStep | None = None
    ) -> list[str]:
        """All differences between a record and a key, each in a few words.

        Args:
            step: the step of the new key, whose upstream outputs tell which files are new.
        """

        def contents(name: str) -> Sequence[str] | None:
            return self._files(name, old, new, step)

        def wishes(name: str) -> str | None:
            return self._wish(name, old, step)

        return differences(old.key, new, self._sources(new), self._packages, contents, wishes)

    def most_similar(self, key: Mapping[str, Any]) -> StepRecord | None:
        """Of the latest records of all steps the one that shares most components with a key.

        None if no step runs that script.
        """
        best: tuple[int, str, StepRecord] | None = None
        for number, each in enumerate(self._home.store.find(layout.STEPS)):
            if number == _MOST_CANDIDATES:
                break
            record = self._index.read(each.path)
            if record is None or record.key.get("script") != key.get("script"):
                continue
            score = sum(record.key.get(name) == value for name, value in key.items())
            if best is None or (score, record.created) > best[:2]:
                best = (score, record.created, record)
        return best[2] if best else None

    def _sentence(
        self, old: StepRecord, new: Mapping[str, Any], step: WalkStep | None = None
    ) -> str:
        changes = self.changes(old, new, step)
        if not changes:
            return "the earlier result is not recorded any more"
        more = len(changes) - _MOST_CHANGES
        text = "; ".join(changes[:_MOST_CHANGES])
        return f"{text}; and {more} more" if more > 0 else text

    def _sources(self, new: Mapping[str, Any]) -> Any:
        def say(before: str, after: str) -> list[str]:
            from airflow_aml.reuse.sources import changed_files

            aside = self._aside.sources if self._aside else None
            found = changed_files(before, after, self._home, aside)
            if not found:
                return ["the source folder changed"]
            # The script itself first: it is what the author looks at.
            found.sort(key=lambda each: each.path != new.get("script"))
            said = []
            for what in ("changed", "added", "removed"):
                files = [each for each in found if each.what == what]
                if files:
                    verb = what if what == "changed" else f"{_was(files)} {what}"
                    endings = all(each.line_endings_only for each in files)
                    hint = " (line endings only)" if endings else ""
                    said.append(f"{joined([each.path for each in files])} {verb}{hint}")
            return said

        return say

    def _packages(self, before: str, after: str) -> list[str]:
        from airflow_aml.reuse.environment import load

        aside = self._aside.environments if self._aside else {}
        old, new = (aside.get(each) or load(each, self._home) for each in (before, after))
        if old is None or new is None:
            return ["the environment changed"]
        return _environments(old, new) or ["the environment changed"]

    def _files(
        self, name: str, old: StepRecord, new: Mapping[str, Any], step: WalkStep | None
    ) -> list[str] | None:
        from airflow_aml.reuse.files import differing, load_files

        before, after = old.key["inputs"][name]["content"], new["inputs"][name]["content"]
        earlier = load_files(self._home, before, old.inputs.get(name), self._places)
        if earlier is None:
            return None
        now: Mapping[str, str] | None
        if self._aside is not None and after in self._aside.inputs:
            now = self._aside.inputs[after]()
        else:
            now = load_files(self._home, after, self._upstream(name, after, step), self._places)
        if now is None:
            return None
        return differing(earlier, now)

    def _wish(self, name: str, old: StepRecord, step: WalkStep | None) -> str | None:
        """That the parameter which chooses an input's data names other data than it did."""
        if step is None or name not in step.asks:
            return None
        from airflow_aml.workspace.plans import read_plan

        plan = read_plan(self._home, old.pipeline_run_id, step=old.task_id)
        before = plan.steps[old.task_id].asks.get(name) if plan is not None else None
        parameter, now = step.asks[name]
        if before is None or before[-1] == now:
            return None
        return f"parameter {parameter!r} changed from {shown(before[-1])} to {shown(now)}"

    def _upstream(self, name: str, digest: str, step: WalkStep | None) -> str | None:
        """Where the data of an input is now, if a step of this DAG has just written it."""
        content = step.key["inputs"][name]["content"] if step is not None else None
        if not isinstance(content, Mapping):
            return None
        producer, output = content["from"]
        record = self._index.latest(self._dag_id, producer)
        written = record.outputs.get(output) if record is not None else None
        return written.uri if written is not None and written.digest == digest else None


def diff(old: StepRecord, new: StepRecord, home: Home) -> str:
    """A unified diff of the sources that two executions ran; empty if they are the same.

    Raises:
        FileNotFoundError: a snapshot is not in the workspace any more.
        WorkspaceException: the store cannot be read.
        ValueError: a snapshot is damaged.
    """
    if old.snapshot == new.snapshot:
        return ""
    from airflow_aml.reuse import sources

    return sources.diff(old.snapshot, new.snapshot, home)


def _was(files: Sequence[object]) -> str:
    return "was" if len(files) == 1 else "were"


def _environments(old: Environment, new: Environment) -> list[str]:
    if old.image != new.image:
        return [f"the image changed from {old.image or 'none'} to {new.image or 'none'}"]
    said = []
    if (old.implementation, old.python) != (new.implementation, new.python):
        before = f"{old.implementation} {old.python}"
        said.append(f"Python changed from {before} to {new.implementation} {new.python}")
    for name in sorted({*old.packages, *new.packages}):
        before, after = old.packages.get(name, ""), new.packages.get(name, "")
        if name not in new.packages:
            said.append(f"package {name} was removed ({before})")
        elif name not in old.packages:
            said.append(f"package {name} was added ({after})")
        elif before != after:
            said.append(f"package {name} changed from {before} to {after}")
    return said
