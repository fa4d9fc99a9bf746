"""The calculus: activations, losses, the network with its gradients, dropout, regularization, optimizers, schedules.

All of it is written against the array API alone. It imports `common` and `backends`, and not `data`, which is at its
own level.
"""
