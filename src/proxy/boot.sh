# Makes HAProxy's files from the environments' own, each of which stands for
# itself: one that is damaged is left out. Then HAProxy takes over.
set -u
made=/tmp/stagecraft
kept=/data/routes
sockets=/run/stagecraft-proxy
rm -rf "$made" /data/taken
mkdir -p "$made" "$kept" /data/certificates "$sockets/edge" || exit 1
# The edge is root; nobody else is to speak for it.
chown haproxy "$sockets/edge" && chmod 700 "$sockets/edge" || exit 1

# A predecessor that still serves left what it knows, for one start only: its
# listening sockets are taken over, so that no connection is refused.
from=$kept
before=
if [ -d /data/handover ] && mv /data/handover /data/taken; then
    from=/data/taken
    read -r before </data/taken/.socket
fi

number() { case $1 in '' | *[!0-9]* | ???????????????*) return 1 ;; esac }
word() { case $1 in '' | *[!A-Za-z0-9_.:-]*) return 1 ;; esac }

# read_route FILE: into variables; fails on the first thing that is not right.
read_route() {
    names='' servers='' list='' limit='' timeout='' maintenance='' secure='' begun='' ended=''
    [ -f "$1" ] || return 1
    while read -r what a b more; do
        [ -z "$more$ended" ] || return 1
        case $what in
        stagecraft) [ "$a" = 1 ] || return 1; begun=1 ;;
        name) [ -n "$a" ] && [ -z "$b" ] || return 1
            names="$names$a
" ;;
        server) word "$a" && number "$b" && [ "$b" -ge 1 ] && [ "$b" -le 65535 ] || return 1
            case $list, in *",$a="*) return 1 ;; esac
            list="$list,$a=$b"
            servers="$servers$a $b
" ;;
        limit) number "$a" || return 1; limit=$a ;;
        timeout) number "$a" || return 1; timeout=$a ;;
        maintenance) maintenance=1 ;;
        secure) case $a in files | auto | internal) secure=$a ;; *) return 1 ;; esac ;;
        end) ended=1 ;;
        *) return 1 ;;
        esac
    done <"$1"
    [ -n "$begun" ] && [ -n "$ended" ]
}

cd "$made" || exit 1
for map in names owners live kept maintenance secure tls limits timeouts first; do : >"$map.map"; done
cat >about.map <<'END'
@ABOUT@
END
[ -z "$before" ] || echo "before $before" >>about.map

count=0
for file in "$from"/*; do
    key=${file##*/}
    case $key in *[!a-z0-9_-]*) continue ;; esac
    if ! read_route "$file"; then
        echo "stagecraft: the file of $key is damaged and left out" >&2
        continue
    fi
    [ "$count" -lt @PAIRS@ ] || { echo "stagecraft: no room for $key" >&2; continue; }
    count=$((count + 1))
    pair=e$(printf %02d "$count")
    echo "$pair $key" >>owners.map
    printf %s "$names" | while read -r name; do echo "$name $pair"; done >>names.map
    [ -z "$maintenance" ] || echo "$pair 1" >>maintenance.map
    if [ -n "$secure" ]; then
        echo "$pair $secure" >>secure.map
        printf %s "$names" | while read -r name; do echo "${name%%/*} $secure.$pair"; done >>tls.map
    fi
    [ -z "$limit" ] || echo "$pair $limit" >>limits.map
    [ -z "$timeout" ] || echo "$pair $timeout" >>timeouts.map
    if [ -n "$servers" ]; then
        echo "$pair ${pair}_blue" >>live.map
        printf %s "$servers" | while read -r name port; do
            echo "    server $name 127.0.0.1:$port @SERVER@"
        done >"$pair.servers"
    fi
    if [ "$from" = "$kept" ] || read_route "$kept/$key"; then
        echo "$pair ${list:-,}" >>kept.map
    fi
done

# Each certificate is tried by itself.
: >certificates
for file in /data/certificates/*.pem; do
    [ -f "$file" ] || continue
    printf 'frontend try\n mode http\n timeout client 1s\n bind abns@try ssl crt %s\n' "$file" >try.cfg
    if haproxy -c -q -f try.cfg; then
        echo "$file" >>certificates
    else
        echo "stagecraft: ${file##*/} is damaged and left out" >&2
    fi
done

cat >haproxy.cfg <<'END'
@CONFIG@
END
count=0
while [ "$count" -lt @PAIRS@ ]; do
    count=$((count + 1))
    pair=e$(printf %02d "$count")
    echo "backend ${pair}_blue from slots"
    echo '    use-server %[var(txn.first)] if { var(txn.first) -m found }'
    [ ! -f "$pair.servers" ] || cat "$pair.servers"
    echo "backend ${pair}_green from slots"
    echo '    use-server %[var(txn.first)] if { var(txn.first) -m found }'
done >>haproxy.cfg

if [ -s /proc/net/if_inet6 ]; then export STAGECRAFT_IPV6=1; fi
haproxy -c -q -f haproxy.cfg || exit 1
ln -sfn "@VERSION@.sock" "$sockets/admin.sock"
# Where TLS is taken, a predecessor's clients come over once there is somebody.
rm -f "$sockets/@VERSION@.tls.sock" "$sockets/edge/@VERSION@.sock"
if grep -q '^frontend edge' haproxy.cfg; then
    (
        until [ -S "$sockets/@VERSION@.tls.sock" ] && [ -S "$sockets/edge/@VERSION@.sock" ]; do
            sleep 0.1
        done
        ln -sfn "@VERSION@.tls.sock" "$sockets/tls.sock"
        ln -sfn "@VERSION@.sock" "$sockets/edge/http.sock"
    ) &
fi
exec haproxy -db -f haproxy.cfg ${before:+-x "$sockets/$before"}
