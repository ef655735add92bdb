#!/bin/sh
# Runs as root after the package's files are gone. Labs and their history in people's homes stay.
set -e
case "$1" in
  upgrade | 1) exit 0 ;;
esac
systemctl stop netloom-agent.service >/dev/null 2>&1 || true
rm -f /usr/lib/systemd/system/netloom-agent.service /usr/bin/netloom /usr/bin/netloom-desktop /etc/apparmor.d/netloom
systemctl daemon-reload >/dev/null 2>&1 || true
