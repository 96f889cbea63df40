"""Stores: local folders, Azure Blob, S3 and whatever else fsspec reaches, behind one seam."""
