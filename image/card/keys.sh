#!/usr/bin/env bash
# Makes the key that signs updates, once: keys.sh FOLDER. Keep update.key.pem off the boxes and out of the repository; whoever
# has it can put anything onto every box whose image has the certificate.
set -euo pipefail
folder=$1
[ -f "$folder/update.key.pem" ] && exit 0
mkdir -p "$folder"
chmod 700 "$folder"
openssl req -x509 -newkey rsa:3072 -nodes -days 7300 -subj "/O=Edge Aggregator/CN=updates" \
    -keyout "$folder/update.key.pem" -out "$folder/update.cert.pem" 2>/dev/null
chmod 600 "$folder/update.key.pem"
echo "image: a new key for updates was made in $folder; keep it safe, and keep it out of the repository" >&2
