#!/bin/sh
# Installs Wisp for the current user and replaces any installed version.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(uname -s)" = Darwin ]; then
    vst3="$HOME/Library/Audio/Plug-Ins/VST3"
    clap="$HOME/Library/Audio/Plug-Ins/CLAP"
    presets="$HOME/Library/Audio/Presets/Wisp/Wisp"
else
    vst3="$HOME/.vst3"
    clap="$HOME/.clap"
    presets="$HOME/.vst3/presets/Wisp/Wisp"
fi
programs="$HOME/.local/bin"

# Copies to a temporary name first, so that a host scanning meanwhile never finds a partial copy.
put() {
    [ -e "$here/$1" ] || return 0
    mkdir -p "$2"
    new="$2/.$1.new"
    old="$2/.$1.old"
    # An earlier run was cut short: what it had put aside is what there was.
    if [ -e "$old" ] && [ ! -e "$2/$1" ]; then
        mv "$old" "$2/$1"
    fi
    rm -rf "$new" "$old"
    cp -R "$here/$1" "$new"
    if [ -d "$2/$1" ]; then
        # A folder cannot be replaced in one step.
        mv "$2/$1" "$old"
        mv "$new" "$2/$1" || {
            mv "$old" "$2/$1"
            exit 1
        }
        rm -rf "$old"
    else
        mv -f "$new" "$2/$1"
    fi
    echo "installed $2/$1"
}

put wisp.vst3 "$vst3"
put wisp.clap "$clap"
# Where VST3 hosts look; those of that name are ours.
if [ -d "$here/presets" ]; then
    mkdir -p "$presets"
    cp "$here/presets"/*.vstpreset "$presets"
    echo "installed presets in $presets"
fi
put wisp "$programs"
put wisp-standalone "$programs"
case ":$PATH:" in
*":$programs:"*) ;;
*) echo "$programs is not on the PATH: start programs there by their full path" ;;
esac
