"""The whole way from a fault to an action, as its five files describe it: what is wrong with it, and how long it takes.

Everything here takes parsed documents and gives findings and times; it reads no file, asks no server and knows neither
the exporters nor the receiver: what those expect comes in as `facts`.
"""
