"""Two series made by a program: level, trend, two seasons and a little noise, hour by hour.

What comes next follows from the past, so a network of a second's training already forecasts it.
"""

import datetime as dt
import math
import random

STEPS = 600
BEGIN = dt.datetime(2024, 1, 1)


def as_csv() -> str:
    """Hourly tide and temperature of a harbour that does not exist, over 25 days."""
    draw = random.Random(0)
    lines = ["time,tide,temperature"]
    for step in range(STEPS):
        moment = BEGIN + dt.timedelta(hours=step)
        tide = 2 + 1.2 * math.sin(2 * math.pi * step / 12) + draw.gauss(0, 0.1)
        day = math.sin(2 * math.pi * (step - 8) / 24)
        temperature = 8 + step / 200 + 3 * day + draw.gauss(0, 0.4)
        lines.append(f"{moment:%Y-%m-%d %H:%M},{tide:.3f},{temperature:.2f}")
    return "\n".join(lines) + "\n"
