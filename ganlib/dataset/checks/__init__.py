"""What is looked at in every picture of a source before it becomes a training set; `ganlib.dataset.examine` uses it."""
