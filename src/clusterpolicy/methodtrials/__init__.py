"""Methods on trial: do they tell the truth where it is known, what do other programs say."""
