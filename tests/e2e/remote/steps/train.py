import argparse
import base64
import csv
import os

from airflow_aml import Run

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
parser.add_argument("--model")
arguments = parser.parse_args()
if arguments.alpha < 0:
    raise ValueError("alpha is negative")
run = Run.get_context()
with open(os.path.join(run.input_datasets["table"], "table.csv")) as stream:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(stream)]
slope = 0.0
for epoch in range(5):
    slope += 0.05 * sum(x * (y - slope * x) for x, y in points) - arguments.alpha * slope * 0.01
    run.log("loss", sum((y - slope * x) ** 2 for x, y in points))
    run.log_row("path", epoch=epoch, slope=slope)
with open("curve.png", "wb") as stream:
    stream.write(base64.b64decode(PNG))
run.log_image("curve", path="curve.png")
run.log_confusion_matrix("confusion", {"class_labels": ["a", "b"], "matrix": [[1, 0], [0, 2]]})
run.log_accuracy_table("accuracy", {"probability_tables": []})
run.parent.tag("trained with", str(arguments.alpha))
run.parent.log("slope", round(slope, 3))
os.makedirs(arguments.model, exist_ok=True)
for place in (arguments.model, "outputs"):
    with open(os.path.join(place, "model.txt"), "w") as stream:
        stream.write(f"{slope:.3f}")
with open("notes.txt", "w") as stream:
    stream.write(f"alpha {arguments.alpha}")
run.upload_file("notes/notes.txt", "notes.txt")
registered = run.register_model("ridge", model_path="outputs/model.txt", tags={"kind": "line"})
with run.child_run("a fold") as fold:
    fold.log("auc", 0.8)
print("trained", registered.name, [child.name for child in run.get_children()])
