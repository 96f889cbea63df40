"""What of a step's metrics stands in its XCom."""

from __future__ import annotations


def test_numbers_in_the_xcom(write, one_dag, run_dag):
    """The last value of each number, of fifty names at most; a reused step has its source's."""
    write(
        "src/a.py",
        """
        from airflow_aml import Run
        run = Run.get_context()
        for epoch in range(3):
            run.log("loss", 1 / (epoch + 1))
        run.log("text", "t"); run.log("nan", float("nan"))
        run.log("inf", float("inf")); run.log("digits", 10 ** 400); run.log("flag", True)
        run.log("half \\ud83d", 1); run.log("smile \\U0001f600", 2); run.tag("x\\udc00", "\\ud800")
        run.log_list("list", [1]); run.parent.log("parents", 1)
        for number in range(60):
            run.log(f"m{number}", number)
        """,
    )
    write("src/b.py", "")
    write(
        "p.py",
        """
        # airflow dag
        from airflow_aml import *
        p = Pipeline(Workspace(), [
            PythonScriptStep("a.py", source_directory="src"),
            PythonScriptStep("b.py", source_directory="src"),
        ])
        """,
    )
    dag = one_dag()
    first, again = run_dag(dag), run_dag(dag)

    half = {"half \\ud83d": 1, "smile \U0001f600": 2}  # what is no text is shown escaped
    expected = {"loss": 1 / 3, "flag": True, **half, **{f"m{n}": n for n in range(46)}}
    assert first.xcom("a")["metrics"] == expected
    assert "metrics" not in first.xcom("b")
    assert again.states["a"] == "skipped"
    assert again.xcom("a")["metrics"] == expected
