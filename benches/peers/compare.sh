#!/usr/bin/env bash
# The speed of engraft beside its peers: benches/peers/compare.sh ROW [options], with the peers' Python in $PYTHON.
exec "${PYTHON:-python3}" "$(dirname "$0")/compare.py" "$@"
