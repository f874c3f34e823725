# Gives Caddy its configuration, which never changes while it runs; a
# predecessor's clients come over once it listens.
set -u
sockets=/run/stagecraft-edge
cd "$sockets" || exit 1
rm -f "@KIND@.@VERSION@.sock" "@KIND@.challenges.@VERSION@.sock"
cat >/config/authority.pem <<'@END@'
@AUTHORITY@
@END@
cat >/config/edge.json <<'@END@'
@CONFIG@
@END@
(
    until [ -S "@KIND@.@VERSION@.sock" ] && [ -S "@KIND@.challenges.@VERSION@.sock" ]; do sleep 0.1; done
    ln -sfn "@KIND@.challenges.@VERSION@.sock" "@KIND@.challenges.sock"
    ln -sfn "@KIND@.@VERSION@.sock" "@KIND@.sock"
) &
exec caddy run --config /config/edge.json
