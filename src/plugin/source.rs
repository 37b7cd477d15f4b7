//! A recording that plays in place of the standalone's input.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One recording, looped.
struct Source {
    channels: Vec<Vec<f32>>,
    position: AtomicUsize,
}

static SOURCE: OnceLock<Source> = OnceLock::new();

/// Plays `channels` (equal lengths) from now on; `false` if they are empty or something is already
/// playing.
pub fn play(channels: Vec<Vec<f32>>) -> bool {
    let length = channels.first().map_or(0, Vec::len);
    length > 0
        && channels.iter().all(|channel| channel.len() == length)
        && SOURCE.set(Source { channels, position: AtomicUsize::new(0) }).is_ok()
}

/// Overwrites a block with the recording, if one is playing.
pub(super) fn fill(block: &mut [&mut [f32]]) {
    let Some(source) = SOURCE.get() else { return };
    let length = source.channels[0].len();
    // Only the audio thread calls this.
    let start = source.position.load(Ordering::Relaxed);
    for (i, channel) in block.iter_mut().enumerate() {
        let from = &source.channels[i % source.channels.len()];
        for (k, sample) in channel.iter_mut().enumerate() {
            *sample = from[(start + k) % length];
        }
    }
    let samples = block.first().map_or(0, |channel| channel.len());
    source.position.store((start + samples) % length, Ordering::Relaxed);
}
