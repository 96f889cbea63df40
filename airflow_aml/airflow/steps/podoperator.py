"""The provider's pod operator, whose pod gets secrets by a secret and is watched by our trigger."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import TaskDeferred
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from airflow_aml.airflow.steps.following import StepPodTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client.models import V1Pod

BROKEN = (ApiException, HTTPError, ConfigException)
"""What a cluster that is not there or does not allow it raises."""


class PodOperator(KubernetesPodOperator):
    """The provider's operator, whose pod gets its secrets by a secret and is watched by ours.

    Attributes:
        handed: environment variables of the pod that nobody else is to read.
    """

    handed: Mapping[str, str] = {}

    def get_or_create_pod(self, pod_request_obj: V1Pod, context: Context) -> V1Pod:
        """Makes the pod, and first the secret that it reads, which goes with it."""
        metadata = pod_request_obj.metadata
        if not self.handed:
            return super().get_or_create_pod(pod_request_obj, context)
        data = {key: b64encode(value.encode()).decode() for key, value in self.handed.items()}
        names = {"name": self._secret, "labels": metadata.labels}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": names, "data": data}
        self.client.create_namespaced_secret(metadata.namespace, secret)
        try:
            made = super().get_or_create_pod(pod_request_obj, context)
            there = self.hook.get_pod(metadata.name, metadata.namespace)
            owner = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata.name,
                "uid": there.metadata.uid,
            }
            owned = {"metadata": {"ownerReferences": [owner]}}
            self.client.patch_namespaced_secret(self._secret, metadata.namespace, owned)
        except BaseException:
            with suppress(*BROKEN):
                self.client.delete_namespaced_secret(self._secret, metadata.namespace)
            raise
        return made

    @property
    def _secret(self) -> str:
        return str(self.name)

    def invoke_defer_method(
        self, last_log_time: Any = None, context: Context | None = None
    ) -> None:
        """Lets the triggerer wait, with a trigger that tells the pod's lines.

        Raises:
            TaskDeferred: always, unless the pod has ended already.
        """
        try:
            super().invoke_defer_method(last_log_time, context)
        except TaskDeferred as deferred:
            given = deferred.trigger.serialize()[1]
            deferred.trigger = StepPodTrigger(**given)
            raise
