"""One training by pytabkit's RealMLP-TD with its defaults, in the environment of pytabkit.

    realmlp.py IN.npz OUT.npz THREADS

IN holds x, y, test, categories (positions of columns), classes (0: regression) and seed; OUT gets
the probabilities or values for the test rows, and the processor seconds of `fit`.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

warnings.simplefilter("ignore")
SOURCE, ANSWERS, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])

with np.load(SOURCE) as data:
    x, y, test = data["x"], data["y"], data["test"]
    categories, classes, seed = data["categories"].tolist(), int(data["classes"]), int(data["seed"])


def frame(rows: np.ndarray) -> pd.DataFrame:
    """Columns by their place, categories as such."""
    found = pd.DataFrame(rows, columns=[f"c{i}" for i in range(rows.shape[1])])
    return found.astype({f"c{i}": "category" for i in categories})


kind = RealMLP_TD_Classifier if classes else RealMLP_TD_Regressor
model = kind(device="cpu", random_state=seed, n_threads=THREADS)
train = frame(x)
began = time.process_time()
model.fit(train, y)
seconds = time.process_time() - began
answers = model.predict_proba(frame(test)) if classes else model.predict(frame(test)).reshape(-1)
np.savez(ANSWERS, answers=answers, seconds=seconds)
