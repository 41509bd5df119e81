"""What the policy would have done in the past, by Prometheus' history: the same judge, asked at past times."""
