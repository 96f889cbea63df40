"""Has this already been done? Keys of steps, records of results, and the walk that compares them.

Nothing here imports Airflow; a local workspace is read without fsspec too.
"""
