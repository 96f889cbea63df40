"""Tabular datasets: reading, types, transformations, bad files."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from airflow_aml import Dataset, DataType, PromoteHeadersBehavior
from airflow_aml.errors import NotServedError, PipelineTypeError, UserErrorException

PEOPLE = """
    name,age,height,member,born,zip
    Ann,31,1.75,true,1990-03-01,00123
    Bob,22,1.80,False,2001-12-31,99999
    "Cy, the 3rd",,,TRUE,1980-01-01,1
"""


@pytest.fixture
def people(store, put):
    """A table with a column of each type."""
    put("people.csv", PEOPLE)
    return Dataset.Tabular.from_delimited_files((store, "people.csv"))


def test_types_are_inferred_as_v1_infers_them(people):
    """bool, long, float, datetime and string; an empty field is a missing value."""
    frame = people.to_pandas_dataframe()

    assert list(frame["name"]) == ["Ann", "Bob", "Cy, the 3rd"]
    assert [frame[name].dtype.kind for name in ("age", "height", "member")] == ["f", "f", "b"]
    assert frame["born"].dtype.kind == "M"
    assert frame["age"].isna().tolist() == [False, False, True]
    assert frame["zip"].tolist() == [123, 99999, 1]


def test_types_can_be_set(store, put):
    """set_column_types wins over what is inferred; other columns are inferred still."""
    put("t.csv", 'zip,price,when,flag\n007,"1.234,5",31.12.2020,1\n008,"2,0",01.01.2021,0\n')
    made = Dataset.Tabular.from_delimited_files(
        (store, "t.csv"),
        set_column_types={
            "zip": DataType.to_string(),
            "price": DataType.to_float(decimal_mark=","),
            "when": DataType.to_datetime("%d.%m.%Y"),
            "flag": DataType.to_bool(),
        },
    )

    frame = made.to_pandas_dataframe()

    assert frame["zip"].tolist() == ["007", "008"]
    assert frame["price"].tolist() == [1234.5, 2.0]
    assert frame["when"].tolist() == [datetime(2020, 12, 31), datetime(2021, 1, 1)]
    assert frame["flag"].tolist() == [True, False]


def test_without_inference_all_is_text(store, put):
    """infer_column_types=False."""
    put("t.csv", "a,b\n1,2.5\n")
    made = Dataset.Tabular.from_delimited_files((store, "t.csv"), infer_column_types=False)

    assert made.to_pandas_dataframe().iloc[0].tolist() == ["1", "2.5"]


def test_a_value_that_does_not_fit_is_missing_or_an_error(store, put):
    """Types come from the first rows; on_error says what becomes of a later text in a number."""
    rows = "\n".join(str(number) for number in range(300))
    put("t.csv", f"n\n{rows}\noops\n")
    made = Dataset.Tabular.from_delimited_files((store, "t.csv"))

    frame = made.to_pandas_dataframe()
    assert frame["n"].isna().tolist() == [False] * 300 + [True]
    with pytest.raises(UserErrorException, match="'oops' in column 'n' is not a long"):
        made.to_pandas_dataframe(on_error="fail")


def test_empty_as_string_keeps_empty_texts(store, put):
    """empty_as_string=True."""
    put("t.csv", "a,b\nx,\n")
    made = Dataset.Tabular.from_delimited_files((store, "t.csv"), empty_as_string=True)

    assert made.to_pandas_dataframe()["b"].tolist() == [""]


def test_only_an_empty_field_is_missing(store, put):
    """NA and null are texts, as in v1, not missing values, as in pandas."""
    put("t.csv", "country\nNA\nnull\n")

    frame = Dataset.Tabular.from_delimited_files((store, "t.csv")).to_pandas_dataframe()

    assert frame["country"].tolist() == ["NA", "null"]


@pytest.mark.parametrize(
    ("header", "columns", "rows"),
    [
        (True, ["a", "b"], 2),
        (PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS, ["a", "b"], 2),
        (False, ["Column1", "Column2"], 4),
        (PromoteHeadersBehavior.ONLY_FIRST_FILE_HAS_HEADERS, ["a", "b"], 3),
        (PromoteHeadersBehavior.COMBINE_ALL_FILES_HEADERS, ["a", "b", "c"], 2),
    ],
)
def test_headers_of_several_files(store, put, header, columns, rows):
    """All of v1's ways to take first lines."""
    put("many/1.csv", "a,b\n1,2\n")
    put("many/2.csv", "a,c\n3,4\n")

    made = Dataset.Tabular.from_delimited_files((store, "many/*.csv"), header=header)
    frame = made.to_pandas_dataframe()

    assert list(frame.columns) == columns
    assert len(frame) == rows


def test_other_forms_of_delimited_files(store, put):
    """Separators of one or more characters, quoted line breaks, blank lines."""
    put("t.tsv", "a\tb\n1\t2\n\n3\t4\n")
    put("w.txt", "a||b\n1||2\n")
    put("q.csv", 'a,b\n"two\nlines",1\n')

    def read(path, **options):
        return Dataset.Tabular.from_delimited_files((store, path), **options).to_pandas_dataframe()

    assert read("t.tsv", separator="\t")["b"].tolist() == [2, 4]
    assert read("w.txt", separator="||")["b"].tolist() == [2]
    assert read("q.csv", support_multi_line=True)["a"].tolist() == ["two\nlines"]


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("iso88591", "latin-1"), ("utf16", "utf-16"), ("windows1252", "cp1252"), ("utf8", "utf-8")],
)
def test_encodings(store, put, encoding, codec):
    """v1's names of encodings; a byte order mark is no part of the first column's name."""
    put("t.csv", "\ufeffname\nJosé\n".encode(codec, "ignore"))

    made = Dataset.Tabular.from_delimited_files((store, "t.csv"), encoding=encoding)

    assert made.to_pandas_dataframe()["name"].tolist() == ["José"]


def test_mixed_encodings_are_named(store, put):
    """One file in another encoding: its name, and what to do, are in the text."""
    put("m/1.csv", "name\nAnn\n")
    put("m/2.csv", "name\nJosé\n".encode("latin-1"))

    with pytest.raises(UserErrorException, match=r"/m/2.csv: it is not utf8 text.*encoding="):
        Dataset.Tabular.from_delimited_files((store, "m")).to_pandas_dataframe()


@pytest.mark.parametrize("literal", ["1e30", "123456789012345678901234567890", str(2**63)])
def test_a_number_too_large_for_its_column_is_no_other_number(store, put, literal):
    """300 small counts, then one that no 64 bits hold: missing, or an error, never a wrong one."""
    put("counts.csv", "n,m\n" + "1,2\n" * 300 + f"{literal},5\n{-(2**63)},6\n")
    made = Dataset.Tabular.from_delimited_files((store, "counts.csv"))

    frame = made.to_pandas_dataframe()
    assert frame["n"].isna().tolist() == [False] * 300 + [True, False]
    assert frame["n"].iloc[-1] == -(2**63)
    with pytest.raises(UserErrorException, match="in column 'n' is not a long"):
        made.to_pandas_dataframe(on_error="fail")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a,b\n1,2\n3,4,5,6\n"])
def test_a_csv_that_is_not_one_is_named(store, put, content):
    """Bytes that no text has, and rows longer than their header."""
    put("bad.csv", content)

    with pytest.raises(UserErrorException, match=r"/bad.csv: it is not a delimited file"):
        Dataset.Tabular.from_delimited_files((store, "bad.csv")).to_pandas_dataframe()


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        ("a,b\n1,2,3\n4,5,6\n", ","),
        ("a,b\n1,2,3\n4,5\n", ","),
        ("a,b\n" + "1,2,\n" * 300 + "1,2,3\n", ","),
        ("a||b\n1||2||3\n4||5||6\n", "||"),
    ],
)
def test_no_field_is_left_out_in_silence(store, put, content, separator):
    """An export whose header lost a name: the file is refused, not read without its last column."""
    put("sales.csv", content)
    made = Dataset.Tabular.from_delimited_files((store, "sales.csv"), separator=separator)

    with pytest.raises(UserErrorException, match=r"/sales.csv: .* more fields than its header"):
        made.to_pandas_dataframe()


def test_a_separator_at_the_end_of_each_row_is_no_field(store, put):
    """Some programs write one there; nothing is lost with it."""
    put("t.csv", "a,b\n1,2,\n3,4,\n")

    frame = Dataset.Tabular.from_delimited_files((store, "t.csv")).to_pandas_dataframe()

    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_empty_files_hold_no_records(store, put):
    """A file without a byte, or with a header alone, adds nothing."""
    put("e/1.csv", b"")
    put("e/2.csv", "a,b\n")
    put("e/3.csv", "a,b\n1,2\n")

    assert len(Dataset.Tabular.from_delimited_files((store, "e")).to_pandas_dataframe()) == 1
    only = Dataset.Tabular.from_delimited_files((store, "e/1.csv")).to_pandas_dataframe()
    assert (len(only), list(only.columns)) == (0, [])
    header = Dataset.Tabular.from_delimited_files((store, "e/2.csv")).to_pandas_dataframe()
    assert (len(header), list(header.columns)) == (0, ["a", "b"])


def test_no_rows_still_have_their_columns(store, put, tmp_path):
    """take(0) is how one asks a table for its columns, whatever its format is."""
    import pandas as pd

    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet(tmp_path / "t.parquet")
    put("rome/t.parquet", (tmp_path / "t.parquet").read_bytes())
    put("rome/t.csv", "a,b\n1,x\n")
    put("rome/t.jsonl", '{"a": 1, "b": "x"}\n')
    tables = Dataset.Tabular
    for made in (
        tables.from_parquet_files((store, "rome/t.parquet"), partition_format="{city}/t.parquet"),
        tables.from_delimited_files((store, "rome/t.csv"), partition_format="{city}/t.csv"),
        tables.from_json_lines_files((store, "rome/t.jsonl"), partition_format="{city}/t.jsonl"),
    ):
        frame = made.take(0).to_pandas_dataframe()
        assert (len(frame), list(frame.columns)) == (0, ["a", "b", "city"])
        whole = made.to_pandas_dataframe()
        assert frame.dtypes.to_dict() == whole.dtypes.to_dict()
        assert made.skip(1).take(0).to_pandas_dataframe().columns.tolist() == ["a", "b", "city"]


def test_paths_and_partitions_become_columns(store, put):
    """include_path adds Path; partition_format adds its columns."""
    put("s/rome/1.csv", "n\n1\n")
    put("s/oslo/1.csv", "n\n2\n")
    made = Dataset.Tabular.from_delimited_files(
        (store, "s/*/1.csv"), include_path=True, partition_format="s/{city}/1.csv"
    )

    frame = made.to_pandas_dataframe()

    assert list(frame.columns) == ["Path", "n", "city"]
    assert frame["Path"].tolist() == ["/s/oslo/1.csv", "/s/rome/1.csv"]
    assert frame["city"].tolist() == ["oslo", "rome"]
    assert made.filter(made["city"] == "oslo").to_pandas_dataframe()["n"].tolist() == [2]


def test_parquet_and_json_lines(store, put, tmp_path):
    """Both other formats, with set types; a broken line is an error or left out."""
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.to_parquet(tmp_path / "t.parquet")
    put("t.parquet", (tmp_path / "t.parquet").read_bytes())
    put("t.jsonl", '{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y"}\n')
    put("bad.jsonl", '{"a": 1}\nnot json\n[1]\n{"a": 2}\n')

    parquet = Dataset.Tabular.from_parquet_files(
        (store, "t.parquet"), set_column_types={"a": DataType.to_string()}
    )
    lines = Dataset.Tabular.from_json_lines_files((store, "t.jsonl"))
    dropped = Dataset.Tabular.from_json_lines_files((store, "bad.jsonl"), invalid_lines="drop")

    assert parquet.to_pandas_dataframe()["a"].tolist() == ["1", "2"]
    assert lines.to_pandas_dataframe().to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert dropped.to_pandas_dataframe()["a"].tolist() == [1, 2]
    with pytest.raises(UserErrorException, match=r"/bad.jsonl: line 2 is not a JSON object"):
        Dataset.Tabular.from_json_lines_files((store, "bad.jsonl")).to_pandas_dataframe()
    with pytest.raises(UserErrorException, match="not a Parquet file"):
        Dataset.Tabular.from_parquet_files((store, "t.jsonl")).to_pandas_dataframe()


@pytest.mark.parametrize(
    ("line", "reason"),
    [('{"a": 1', "Expecting ',' delimiter at column 8"), ("[1]", "it is no JSON object")],
)
def test_a_broken_line_is_told_by_one_number(store, put, line, reason):
    """The line that the error names is the file's, and no other number contradicts it."""
    put("cut.jsonl", f'{{"a": 0}}\n{{"a": 1}}\n{line}\n{{"a": 2}}\n')

    with pytest.raises(UserErrorException) as refused:
        Dataset.Tabular.from_json_lines_files((store, "cut.jsonl")).to_pandas_dataframe()

    assert f"/cut.jsonl: line 3 is not a JSON object: {reason}." in str(refused.value)


def test_transformations(people):
    """Columns, filters, takes; they are recorded, and each makes a new dataset."""
    assert list(people.keep_columns(["age", "name"]).to_pandas_dataframe()) == ["name", "age"]
    assert "zip" not in people.drop_columns("zip").to_pandas_dataframe()
    assert people.take(1).to_pandas_dataframe()["name"].tolist() == ["Ann"]
    assert people.skip(2).to_pandas_dataframe()["zip"].tolist() == [1]
    young = people.filter((people["age"] < 30) & (people["name"].starts_with("B")))
    assert young.to_pandas_dataframe()["name"].tolist() == ["Bob"]
    assert len(people.filter(~people["age"].is_null()).to_pandas_dataframe()) == 2
    born = people.filter(people["born"] >= datetime(1990, 1, 1)).to_pandas_dataframe()
    assert born["name"].tolist() == ["Ann", "Bob"]
    assert people.filter(people["age"] % 2 == 0).to_pandas_dataframe()["name"].tolist() == ["Bob"]


def test_a_missing_column_is_named(people):
    """With names like it."""
    with pytest.raises(UserErrorException, match=r"no column 'nam'.*'name'"):
        people.keep_columns("nam").to_pandas_dataframe()
    with pytest.raises(UserErrorException, match="no column 'x'"):
        people.filter(people["x"] > 1).to_pandas_dataframe()


def test_a_type_for_a_column_that_is_not_there_is_refused(store, put):
    """A typing error in set_column_types is told; a column of a later file or record is none."""
    put("shops/1.csv", "shop,zip\nA,007\n")
    put("shops/2.csv", "shop,price\nB,1\n")
    put("shops.jsonl", '{"shop": "A"}\n{"shop": "B", "zip": 7}\n')
    tables, text = Dataset.Tabular, DataType.to_string()

    mistyped = tables.from_delimited_files((store, "shops/1.csv"), set_column_types={"zap": text})
    for made in (mistyped, mistyped.take(1)):
        with pytest.raises(UserErrorException, match=r"set_column_types: .*no column 'zap'.*'zip'"):
            made.to_pandas_dataframe()
    combined = tables.from_delimited_files(
        (store, "shops/*.csv"),
        header=PromoteHeadersBehavior.COMBINE_ALL_FILES_HEADERS,
        set_column_types={"price": text},
    )
    lines = tables.from_json_lines_files((store, "shops.jsonl"), set_column_types={"zip": text})
    assert combined.to_pandas_dataframe()["price"].tolist()[1:] == ["1"]
    for made in (combined, lines):
        assert made.take(1).to_pandas_dataframe()["shop"].tolist() == ["A"]


def test_a_condition_is_not_a_truth(people):
    """`and` between conditions would lose one of them: it is refused."""
    with pytest.raises(PipelineTypeError, match="Join conditions with & and"):
        people.filter((people["age"] > 1) and (people["age"] < 3))
    with pytest.raises(UserErrorException, match="filter takes a condition"):
        people.filter("age > 3")
    with pytest.raises(UserErrorException, match="cannot be used"):
        people.filter(people["name"] > 3).to_pandas_dataframe()


def test_a_split_of_records_is_complementary(store, put):
    """The two parts together are all records, and stay the same."""
    put("n.csv", "n\n" + "\n".join(map(str, range(1000))))
    numbers = Dataset.Tabular.from_delimited_files((store, "n.csv"))

    first, second = numbers.random_split(0.8, seed=3)
    left = first.to_pandas_dataframe()["n"].tolist()
    right = second.to_pandas_dataframe()["n"].tolist()

    assert sorted(left + right) == list(range(1000))
    assert 750 < len(left) < 850
    assert first.to_pandas_dataframe()["n"].tolist() == left


def test_time_filters(store, put):
    """before, after, between, with and without boundaries, and the last so much time."""
    now = datetime.now().replace(microsecond=0)
    moments = [now - timedelta(days=days) for days in (30, 20, 10, 0)]
    put("t.csv", "when,n\n" + "\n".join(f"{m.isoformat()},{i}" for i, m in enumerate(moments)))
    made = Dataset.Tabular.from_delimited_files((store, "t.csv"))
    timed = made.with_timestamp_columns("when")

    def numbers(dataset):
        return dataset.to_pandas_dataframe()["n"].tolist()

    assert timed.timestamp_columns == ("when", None)
    assert numbers(timed.time_before(moments[1])) == [0, 1]
    assert numbers(timed.time_before(moments[1], include_boundary=False)) == [0]
    assert numbers(timed.time_after(moments[2])) == [2, 3]
    assert numbers(timed.time_between(moments[1], moments[2])) == [1, 2]
    assert numbers(timed.time_recent(timedelta(days=15))) == [2, 3]
    with pytest.raises(UserErrorException, match="no timestamp column"):
        made.time_before(now)


def test_a_profile_sums_columns_up(people):
    """Type, missing values, range, mean, quantiles and frequent values."""
    profile = people.get_profile()

    assert profile.rows == 3
    assert profile.columns["age"].type == "float"
    assert (profile.columns["age"].missing, profile.columns["age"].mean) == (1, 26.5)
    assert (profile.columns["age"].min, profile.columns["age"].max) == (22.0, 31.0)
    assert profile.columns["member"].top == {"True": 2, "False": 1}
    assert profile.columns["name"].unique == 3
    assert profile.to_dict()["columns"]["zip"]["type"] == "long"
    assert "3 rows" in str(profile)


def test_a_dataframe_is_registered(ws, store, capsys):
    """Written as Parquet, registered, and read again by name."""
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    made = Dataset.Tabular.register_pandas_dataframe(frame, (store, "frames"), "my frame")

    assert (made.name, made.version) == ("my frame", 1)
    assert "Successfully created and registered a new dataset." in capsys.readouterr().out
    again = Dataset.get_by_name(ws, "my frame").to_pandas_dataframe()
    assert again["a"].tolist() == [1, 2]
    more = Dataset.Tabular.register_pandas_dataframe(frame, store, "my frame", show_progress=False)
    assert more.version == 2
    with pytest.raises(UserErrorException, match="must be a pandas DataFrame"):
        Dataset.Tabular.register_pandas_dataframe([1], store, "x")


def test_a_table_is_partitioned(ws, people, store):
    """One folder for each value; the keys are columns again when it is read."""
    made = people.keep_columns(["name", "member", "age"]).partition_by(
        ["member"], (store, "by-member"), name="parts", show_progress=False
    )

    assert made.partition_keys == ["member"]
    assert made.name == "parts"
    values = made.get_partition_key_values()
    assert [each["member"] for each in values] == ["False", "True"]
    assert len(made.filter(made["member"] == "True").to_pandas_dataframe()) == 2
    files = people.partition_by(["zip"], (store, "z"), partition_as_file_dataset=True)
    assert len(files.to_path()) == 3


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"separator": ""}, "separator must be"),
        ({"header": "yes"}, "header must be"),
        ({"encoding": "klingon"}, "klingon"),
        ({"set_column_types": {"a": "int"}}, "DataTypes"),
        ({"set_column_types": ["a"]}, "must be a dict"),
    ],
)
def test_settings_that_cannot_be_are_refused(store, put, options, error):
    """Said when the dataset is defined, or at the latest when it is read."""
    put("t.csv", "a\n1\n")

    with pytest.raises(UserErrorException, match=error):
        Dataset.Tabular.from_delimited_files((store, "t.csv"), **options).to_pandas_dataframe()


def test_what_is_not_served_is_refused_by_name(people):
    """Spark, Dask, streams and drift."""
    for call in ("to_spark_dataframe", "to_dask_dataframe", "to_csv_files", "download"):
        with pytest.raises(NotServedError):
            getattr(people, call)()
    with pytest.raises(NotServedError, match="Spark"):
        Dataset.Tabular.register_spark_dataframe(None, None, "x")
    with pytest.raises(NotServedError):
        DataType.to_stream(None)


def test_a_take_at_the_start_reads_no_more_than_it_needs(store, put):
    """The first rows of a long file come at once."""
    put("n.csv", "n\n" + "\n".join(map(str, range(100_000))))
    made = Dataset.Tabular.from_delimited_files((store, "n.csv")).skip(1).take(3)

    assert made.to_pandas_dataframe()["n"].tolist() == [1, 2, 3]


@pytest.mark.soak
def test_a_million_rows(store, put):
    """A million rows of five columns are read with their types, in seconds."""
    import time

    lines = (
        f"{n},{n / 7},2021-01-01 00:00:{n % 60:02},text {n % 10},{n % 2 == 0}"
        for n in range(1_000_000)
    )
    put("big.csv", "id,x,when,label,even\n" + "\n".join(lines))
    started = time.process_time()

    frame = Dataset.Tabular.from_delimited_files((store, "big.csv")).to_pandas_dataframe()

    assert len(frame) == 1_000_000
    assert [frame[c].dtype.kind for c in ("id", "x", "when", "even")] == ["i", "f", "M", "b"]
    assert time.process_time() - started < 60
