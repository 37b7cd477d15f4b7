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

# Copies to a temporary name first, so that a host scanning meanwhile never finds a partial copy. If anything fails, the old
# version stays or is put back.
target=
restore() {
    [ -n "$target" ] || return 0
    if there "$old" && ! there "$target"; then
        mv "$old" "$target" && echo "kept $target as it was" >&2
    fi
    rm -rf "$new"
}
there() {
    [ -e "$1" ] || [ -L "$1" ]
}
trap restore EXIT
trap 'exit 1' HUP INT TERM

put() {
    [ -e "$here/$1" ] || return 0
    mkdir -p "$2"
    target="$2/$1" new="$2/.$1.new" old="$2/.$1.old"
    # An earlier run was killed between its two moves.
    if there "$old" && ! there "$target"; then mv "$old" "$target"; fi
    rm -rf "$new" "$old"
    cp -R "$here/$1" "$new"
    if [ -d "$target" ] || [ -L "$target" ]; then mv "$target" "$old"; fi
    mv -f "$new" "$target"
    rm -rf "$old"
    echo "installed $target"
    target=
}

put wisp.vst3 "$vst3"
put wisp.clap "$clap"
put wisp.component "$HOME/Library/Audio/Plug-Ins/Components"
# Where VST3 hosts look; files with these names are ours.
if [ -d "$here/presets" ]; then
    mkdir -p "$presets"
    cp "$here/presets"/*.vstpreset "$presets"
    echo "installed presets in $presets"
fi
put wisp.lv2 "$HOME/.lv2"
put wisp_ladspa.so "$HOME/.ladspa"
put wisp "$programs"
put wisp-standalone "$programs"
put wisp-mic "$programs"
# PipeWire needs the plugin's full path. Users keep their settings in this file, so an existing one is not replaced.
if [ -e "$here/wisp-microphone.conf" ]; then
    folder="${XDG_CONFIG_HOME:-$HOME/.config}/pipewire/pipewire.conf.d"
    if [ -e "$folder/wisp-microphone.conf" ]; then
        echo "kept $folder/wisp-microphone.conf"
    else
        mkdir -p "$folder"
        ladspa=$(printf '%s' "$HOME/.ladspa" | sed 's/[&|\\]/\\&/g')
        sed "s|@LADSPA@|$ladspa|" "$here/wisp-microphone.conf" > "$folder/.wisp-microphone.conf.new"
        mv "$folder/.wisp-microphone.conf.new" "$folder/wisp-microphone.conf"
        echo "installed $folder/wisp-microphone.conf"
        echo "for a microphone called \"Wisp microphone\": systemctl --user restart pipewire"
    fi
fi
case ":$PATH:" in
*":$programs:"*) ;;
*) echo "$programs is not on the PATH: start programs there by their full path" ;;
esac
