#!/bin/sh
# Installs Wisp for this user alone, in place of any version that is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(uname -s)" = Darwin ]; then
    vst3="$HOME/Library/Audio/Plug-Ins/VST3"
    clap="$HOME/Library/Audio/Plug-Ins/CLAP"
else
    vst3="$HOME/.vst3"
    clap="$HOME/.clap"
fi
programs="$HOME/.local/bin"

# By way of another name: a host that scans meanwhile sees the old one or the new one, never half of one.
put() {
    [ -e "$here/$1" ] || return 0
    mkdir -p "$2"
    rm -rf "$2/.$1.new"
    cp -R "$here/$1" "$2/.$1.new"
    rm -rf "${2:?}/$1"
    mv "$2/.$1.new" "$2/$1"
    echo "installed $2/$1"
}

put wisp.vst3 "$vst3"
put wisp.clap "$clap"
put wisp "$programs"
put wisp-standalone "$programs"
case ":$PATH:" in
*":$programs:"*) ;;
*) echo "$programs is not on the PATH: programs there start by their whole name" ;;
esac
