"""What single reports say and show: their sentences, figures and tables."""
