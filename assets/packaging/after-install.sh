#!/bin/sh
# Runs as root after the package's files are in place.
set -e
application=/opt/Netloom

# Chromium's own sandbox helper, for kernels without unprivileged user namespaces. Never `--no-sandbox`.
if [ -f "$application/chrome-sandbox" ]; then
  chown root:root "$application/chrome-sandbox"
  chmod 4755 "$application/chrome-sandbox"
fi

ln -sf "$application/netloom-desktop" /usr/bin/netloom-desktop
cat >/usr/bin/netloom <<'SCRIPT'
#!/bin/sh
exec /opt/Netloom/resources/runtime/node /opt/Netloom/resources/application/dist/main/cli.js "$@"
SCRIPT
chmod 755 /usr/bin/netloom

if [ -d /usr/lib/systemd/system ]; then
  install -m 644 "$application/resources/packaging/netloom-agent.service" /usr/lib/systemd/system/netloom-agent.service
  systemctl daemon-reload >/dev/null 2>&1 || true
fi

# Ubuntu 24.04 and later forbid user namespaces to programs without a profile that allows them.
if [ -f /etc/apparmor.d/abi/4.0 ]; then
  cat >/etc/apparmor.d/netloom <<'PROFILE'
abi <abi/4.0>,
include <tunables/global>
profile netloom /opt/Netloom/{netloom-desktop,resources/runtime/node} flags=(unconfined) {
  userns,
}
PROFILE
  apparmor_parser -r /etc/apparmor.d/netloom >/dev/null 2>&1 || true
fi
