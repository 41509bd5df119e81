# Turns the shipped configuration, whose addresses and paths are those of docker-compose.yml, into one machine's.
s/tf-serving:8500/127.0.0.1:8500/g
s/tf-serving:8501/127.0.0.1:8501/g
s/serving-exporter:9810/127.0.0.1:9810/g
s/quality-exporter:9811/127.0.0.1:9811/g
s/host-exporter:9812/127.0.0.1:9812/g
s/receiver:9815/127.0.0.1:9815/g
s/people:9820/127.0.0.1:9820/g
s/prometheus:9090/127.0.0.1:9090/g
s/alertmanager:9093/127.0.0.1:9093/g
s|/models/|/srv/models/|g
s|\[/models\]|[/srv/models]|g
s|/var/lib/airbag/exporter|/var/lib/airbag-serving-exporter|g
s|/var/lib/airbag/quality|/var/lib/airbag-quality-exporter|g
