"""What a try that was lost has left behind, while its process may still be at work."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from airflow_aml.airflow.steps.lost import remove_at_once

FILES = 200


def test_a_commit_beside_the_next_try_is_whole_or_is_not(tmp_path: Path) -> None:
    """An output that is committed while its folder is removed never lacks a part."""
    for turn in range(20):
        staging, committed = tmp_path / f"staging-{turn}", tmp_path / f"data-{turn}"
        (staging / "out").mkdir(parents=True)
        for number in range(FILES):
            (staging / "out" / str(number)).touch()
        together = threading.Barrier(2)

        def commit(source: Path, target: Path, together: threading.Barrier) -> None:
            together.wait()
            for _ in range(100):
                with suppress(FileNotFoundError):
                    source.rename(target)

        committer = threading.Thread(target=commit, args=(staging / "out", committed, together))
        committer.start()
        together.wait()
        remove_at_once(staging)
        committer.join()

        assert not staging.exists()
        assert not committed.exists() or len(os.listdir(committed)) == FILES
