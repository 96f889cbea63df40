print("model trained")
