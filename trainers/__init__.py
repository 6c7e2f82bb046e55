"""A new checkpoint from training rows: `stage` is the train stage, a kind of training is a room.

`config` is read without torch; `loop` is what all trainings share, inside the worker; `launch`
starts the worker. Which rows are trained on was decided before, by `filters.selection`.
"""
