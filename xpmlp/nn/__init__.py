"""The calculus: activations, losses, the network with its gradients, dropout, regularization, optimizers, schedules.

All of it is written against the array API alone. It imports `common` and `backends`; what is at its level, `data`, it
does not know.
"""
