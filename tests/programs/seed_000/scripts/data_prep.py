print("data prepared")
