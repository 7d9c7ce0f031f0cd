"""What estimates stand on: contrasts, fixed effects, tests turned into intervals, noise."""
