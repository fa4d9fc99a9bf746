"""From options to a trained model in a run folder: options, preparation, run folders, and the model card.

It imports the wings below it. Nothing is imported here, so that `options` stays free of NumPy.
"""
