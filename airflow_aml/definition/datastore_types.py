"""``Datastore.register_*``: v1's kinds of datastores, and S3 and local folders beside them.

Each takes v1's arguments, and ``connection_id=``: the Airflow connection that opens it, which keeps
its key out of the workspace altogether. ``keep_days=`` says for how many days what steps leave in
it may be counted on, and is reused; None: for ever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Mapping, Optional

from airflow_aml.definition.datastore_databases import DatabaseRegistrations, register, require
from airflow_aml.definition.origin import defining_folder
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.datastore import Datastore


class DatastoreRegistrations(DatabaseRegistrations):
    """The registering half of ``Datastore``: stores of files."""

    @staticmethod
    def register_azure_blob_container(
        workspace: Any,
        datastore_name: str,
        container_name: str,
        account_name: Optional[str] = None,
        sas_token: Optional[str] = None,
        account_key: Optional[str] = None,
        protocol: Optional[str] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
        blob_cache_timeout: Optional[int] = None,
        grant_workspace_access: bool = False,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        connection_id: Optional[str] = None,
        keep_days: Optional[int] = None,
    ) -> Datastore:
        """Registers a container of Azure Blob Storage.

        Args:
            endpoint: ``core.windows.net`` when None; ``host:port`` for an emulator.
            sas_token, account_key: kept apart from everything else; give ``connection_id`` instead.

        Raises:
            UserErrorException: there is one of that name, or nothing to open it with.
        """
        require(container_name=container_name)
        secret = {"account_key": account_key, "sas_token": sas_token}
        _require_access(datastore_name, connection_id, secret, account_name)
        settings = {
            "account_name": account_name,
            "container_name": container_name,
            "protocol": protocol or "https",
            "endpoint": endpoint or "core.windows.net",
        }
        url = f"abfs://{container_name}"
        return register(
            workspace,
            datastore_name,
            "AzureBlob",
            url,
            settings,
            secret,
            overwrite,
            connection_id,
            keep_days,
        )

    @staticmethod
    def register_azure_file_share(
        workspace: Any,
        datastore_name: str,
        file_share_name: str,
        account_name: Optional[str] = None,
        sas_token: Optional[str] = None,
        account_key: Optional[str] = None,
        protocol: Optional[str] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
        mounted_at: Optional[str] = None,
        keep_days: Optional[int] = None,
    ) -> Datastore:
        """Registers an Azure file share that is mounted on every worker at the same path.

        Args:
            mounted_at: that path, absolute. No client here speaks to file shares themselves.

        Raises:
            UserErrorException: no ``mounted_at``, or there is one of that name.
        """
        if not mounted_at:
            raise UserErrorException(
                f"the file share {file_share_name!r} can only be used where it is mounted.",
                hint="Mount it on every worker and give the path as mounted_at='/mnt/share'.",
            )
        settings = {"account_name": account_name, "container_name": file_share_name}
        return register(
            workspace,
            datastore_name,
            "AzureFile",
            _local_url(mounted_at),
            settings,
            {},
            overwrite,
            keep_days=keep_days,
        )

    @staticmethod
    def register_azure_data_lake_gen2(
        workspace: Any,
        datastore_name: str,
        filesystem: str,
        account_name: Optional[str] = None,
        tenant_id: Optional[str] = None,
        client_id: Optional[str] = None,
        client_secret: Optional[str] = None,
        resource_url: Optional[str] = None,
        authority_url: Optional[str] = None,
        protocol: Optional[str] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        grant_workspace_access: bool = False,
        connection_id: Optional[str] = None,
        keep_days: Optional[int] = None,
    ) -> Datastore:
        """Registers a file system of Azure Data Lake Storage Gen2.

        Raises:
            UserErrorException: there is one of that name, or nothing to open it with.
        """
        require(filesystem=filesystem)
        secret = {"client_secret": client_secret}
        _require_access(datastore_name, connection_id, secret, account_name)
        settings = {
            "account_name": account_name,
            "filesystem": filesystem,
            "container_name": filesystem,
            "tenant_id": tenant_id,
            "client_id": client_id,
            "protocol": protocol or "https",
            "endpoint": endpoint or "core.windows.net",
        }
        return register(
            workspace,
            datastore_name,
            "AzureDataLakeGen2",
            f"abfs://{filesystem}",
            settings,
            secret,
            overwrite,
            connection_id,
            keep_days,
        )

    @staticmethod
    def register_s3(
        workspace: Any,
        datastore_name: str,
        bucket_name: str,
        path: Optional[str] = None,
        access_key: Optional[str] = None,
        secret_key: Optional[str] = None,
        session_token: Optional[str] = None,
        endpoint_url: Optional[str] = None,
        region_name: Optional[str] = None,
        overwrite: bool = False,
        connection_id: Optional[str] = None,
        keep_days: Optional[int] = None,
    ) -> Datastore:
        """Registers a bucket of S3, or of what speaks its language; not in v1.

        Args:
            path: a folder of the bucket that is the datastore's root.
            endpoint_url: of a service that is not Amazon's.

        Without a key and a connection the machine's own credentials are used.

        Raises:
            UserErrorException: there is one of that name.
        """
        require(bucket_name=bucket_name)
        if bool(access_key) != bool(secret_key):
            raise UserErrorException("access_key and secret_key belong together.")
        settings = {
            "bucket_name": bucket_name,
            "endpoint_url": endpoint_url,
            "region_name": region_name,
        }
        secret = {"key": access_key, "secret": secret_key, "token": session_token}
        url = f"s3://{bucket_name}/{(path or '').strip('/')}".rstrip("/")
        return register(
            workspace,
            datastore_name,
            "S3",
            url,
            settings,
            secret,
            overwrite,
            connection_id,
            keep_days,
        )

    @staticmethod
    def register_local(
        workspace: Any,
        datastore_name: str,
        root: str,
        overwrite: bool = False,
        keep_days: Optional[int] = None,
    ) -> Datastore:
        """Registers a folder that every worker sees at the same path; not in v1.

        Args:
            root: relative to the defining file's folder unless absolute.

        Raises:
            UserErrorException: there is one of that name.
        """
        require(root=root)
        url = _local_url(os.path.join(defining_folder(), os.path.expanduser(root)))
        settings = {"root": os.path.normpath(os.path.join(defining_folder(), root))}
        return register(
            workspace, datastore_name, "Local", url, settings, {}, overwrite, keep_days=keep_days
        )

    @staticmethod
    def register_azure_data_lake(*_: Any, **__: Any) -> Datastore:
        """Not served: Azure has retired Data Lake Storage Gen1."""
        raise NotServedError(
            "Azure Data Lake Storage Gen1 was retired by Azure in 2024.",
            hint="Use register_azure_data_lake_gen2.",
        )

    @staticmethod
    def register_dbfs(*_: Any, **__: Any) -> Datastore:
        """Not served: only Databricks itself reads its file system."""
        raise NotServedError(
            "DBFS datastores are not served: only Databricks itself reads its file system.",
            hint="Keep the data in the storage account under it and register that.",
        )

    @staticmethod
    def register_hdfs(*_: Any, **__: Any) -> Datastore:
        """Not served."""
        raise NotServedError(
            "HDFS datastores are not served.", hint="Register an object store or a mounted folder."
        )


def _require_access(
    name: str,
    connection_id: Optional[str],
    secret: Mapping[str, Optional[str]],
    account_name: Optional[str],
) -> None:
    if connection_id:
        return
    if not account_name:
        raise UserErrorException(f"the datastore {name!r} needs an account_name or connection_id.")
    if not any(secret.values()):
        raise UserErrorException(
            f"the datastore {name!r} has nothing to be opened with.",
            hint=f"Give connection_id, or {' or '.join(secret)}.",
        )


def _local_url(path: str) -> str:
    if not os.path.isabs(path):
        raise UserErrorException(f"{path!r} must be an absolute path.")
    from airflow_aml.workspace.uris import uri_of_path

    return uri_of_path(os.path.normpath(path))
