"""One program, run with the estimators of xpmlp and with scikit-learn's: how it is drawn, run and compared."""
