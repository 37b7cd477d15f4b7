#!/bin/sh
# Uninstalls what install.sh installed. Keeps your own presets and sessions.
set -eu
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

for path in "$vst3/wisp.vst3" "$clap/wisp.clap" "$HOME/Library/Audio/Plug-Ins/Components/wisp.component" \
    "$HOME/.lv2/wisp.lv2" "$HOME/.ladspa/wisp_ladspa.so" \
    "${XDG_CONFIG_HOME:-$HOME/.config}/pipewire/pipewire.conf.d/wisp-microphone.conf" \
    "$programs/wisp" "$programs/wisp-standalone" "$programs/wisp-mic"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
        rm -rf "$path"
        echo "removed $path"
    fi
    # Left by an installation that was killed.
    name=${path##*/}
    rm -rf "${path%/*}/.$name.new" "${path%/*}/.$name.old"
done
for preset in "Voice-over" "Podcast" "Streaming mic" "Phone call" "Noisy room" "Gentle"; do
    if [ -e "$presets/$preset.vstpreset" ]; then
        rm "$presets/$preset.vstpreset"
        echo "removed $presets/$preset.vstpreset"
    fi
done
