#!/bin/sh
# Kafka Streams from Maven Central, librdkafka for Python from PyPI, franz-go from the Go proxy.
set -eu
mvn -q -B -Dmaven.repo.local="$CACHE/m2" dependency:copy-dependencies -DoutputDirectory="$BUILD/libs"
python3 -m venv "$BUILD/venv"
"$BUILD/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
go mod download
go vet .
