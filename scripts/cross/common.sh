# What the scripts of this folder share; they source it. Each sets `me`, its name in messages.

fail() { echo "$me: $2" >&2; exit "$1"; }

need_root() {
    [ "$(id -u)" -eq 0 ] || fail 77 "run as root (sudo): the folder of the compiler is a Debian system of its own, whose files belong to root"
}

need_release() {
    case "$1" in bookworm | trixie) ;; *) fail 64 "RELEASE is \"$1\"; the daemon is built for bookworm or trixie" ;; esac
}

need_arch() {
    case "$1" in amd64 | arm64) ;; *) fail 64 "ARCH is \"$1\"; the daemon is built for amd64 or arm64" ;; esac
}

# Usage: need_room FOLDER MEGABYTES WHAT_FOR
need_room() {
    local free
    free=$(($(df --output=avail -k "$1" | tail -n 1) / 1024))
    [ "$free" -ge "$2" ] || fail 69 "$3 needs $2 MB of disk, and $1 has $free MB left; make room, or name another folder with CROSS="
}

# Deletes a folder of ours. Never through a mount: what is mounted below it belongs to somebody else.
# Usage: remove FOLDER
remove() {
    [ -e "$1" ] || return 0
    local folder mounted
    folder=$(realpath "$1")
    # Field 5 of mountinfo is the mount point, with blanks as \040.
    mounted=$(awk -v folder="${folder// /\\\\040}" '$5 == folder || index($5, folder "/") == 1 { print $5; exit }' /proc/self/mountinfo)
    [ -z "$mounted" ] || fail 73 "$mounted is still mounted, and $folder is not deleted because of it; run \`umount $mounted\`, then try again"
    rm -rf --one-file-system "$folder"
}

# The mirror of this machine's own sources, without its suites.
mirror() {
    if [ -n "${MIRROR:-}" ]; then echo "$MIRROR"; return; fi
    local sources
    sources=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        grep -E '/debian/?$' | head -n 1 || true)
    echo "${sources:-http://deb.debian.org/debian}"
}

keyring() {
    [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || fail 69 "the keys of Debian's archive are missing: apt-get install debian-archive-keyring"
    echo /usr/share/keyrings/debian-archive-keyring.gpg
}

# Makes an apt of its own, with lists and state in FOLDER: nothing of this machine's packages is read or changed. Sets the array `apt`.
# Usage: private_apt FOLDER ARCH LINE...   LINE: what stands in sources.list after "deb"
private_apt() {
    local folder=$1 arch=$2
    shift 2
    mkdir -p "$folder"/{lists/partial,cache/archives/partial}
    : >"$folder/status"
    printf "deb [signed-by=$(keyring)] %s\n" "$@" >"$folder/sources.list"
    # The lists of sid are valid for a week; a mirror that keeps them longer is accepted, since the signatures are checked.
    apt=(-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status"
        -o "Dir::Cache=$folder/cache" -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root
        -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3)
    # Without this mode apt succeeds with the lists that it has, which are none.
    apt-get "${apt[@]}" -o APT::Update::Error-Mode=any update -q >"$folder/log" 2>&1 || {
        tail -n 5 "$folder/log" >&2
        fail 69 "the list of packages could not be fetched from $(mirror) (is there a network? MIRROR= names another)"
    }
}

# Runs a command in the system of the compiler. Its mounts are in a name space of their own: they end with the command, however it ends.
# Usage: in_toolchain FOLDER [FROM:TO[:ro]]... -- COMMAND...
in_toolchain() {
    local folder=$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --propagation private -- bash -c '
        set -e
        root=$1; shift
        # The root is a mount of its own, so that nothing of it is shared.
        mount --bind "$root" "$root"
        while [ "$1" != -- ]; do
            IFS=: read -r from to mode <<<"$1"
            mkdir -p "$root$to"
            mount --bind "$from" "$root$to"
            [ "$mode" != ro ] || mount -o remount,bind,ro "$root$to"
            shift
        done
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb TMPDIR=/tmp \
            PATH=/usr/libexec/swift/bin:/usr/bin:/usr/sbin "$@"' bash "$folder/toolchain" "$@"
}
