"""Classical classifiers (scikit-learn) on statistics of utterances: MLP, SVM, k-NN, forest.

They are measured, not published: no bundle is made of them.
"""
