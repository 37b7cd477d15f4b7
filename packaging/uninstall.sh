#!/bin/sh
# Takes away what install.sh put there. Presets and sessions stay.
set -eu
if [ "$(uname -s)" = Darwin ]; then
    vst3="$HOME/Library/Audio/Plug-Ins/VST3"
    clap="$HOME/Library/Audio/Plug-Ins/CLAP"
else
    vst3="$HOME/.vst3"
    clap="$HOME/.clap"
fi
programs="$HOME/.local/bin"

for path in "$vst3/wisp.vst3" "$clap/wisp.clap" "$programs/wisp" "$programs/wisp-standalone"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
        rm -rf "$path"
        echo "removed $path"
    fi
done
