"""The receiver's HTTP API: alerts in, orders in, what is known out."""
