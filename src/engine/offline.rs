//! Recordings: results aligned with the input.
use super::{Controls, Engine, EngineError};
use crate::Model;

/// Denoises a whole recording in place, aligned with the input: sample n of the result belongs to sample n of the recording.
///
/// One element per channel, samples at full scale ±1. If lengths differ, only the length of the shortest is denoised.
///
/// ```
/// use wisp::{Controls, Model};
///
/// let mut recording = vec![vec![0.0_f32; 48_000]; 2]; // a second of stereo
/// wisp::denoise(&Model::studio(), &Controls::default(), 48_000, &mut recording)?;
/// # Ok::<(), wisp::EngineError>(())
/// ```
///
/// # Errors
///
/// Same as [`Engine::new`], for the sample rate and the number of channels.
pub fn denoise(
    model: &Model,
    controls: &Controls,
    sample_rate: u32,
    channels: &mut [impl AsMut<[f32]>],
) -> Result<(), EngineError> {
    let mut engine = Engine::new(model, sample_rate, channels.len())?;
    let latency = engine.latency_samples();
    let mut blocks: Vec<&mut [f32]> = channels.iter_mut().map(AsMut::as_mut).collect();
    let length = blocks.iter().map(|block| block.len()).min().unwrap_or(0);
    engine.process(controls, &mut blocks);
    // Feeding as much silence drives the remaining samples out of the engine.
    let mut rest = vec![vec![0.0; latency]; blocks.len()];
    let mut silence: Vec<&mut [f32]> = rest.iter_mut().map(Vec::as_mut_slice).collect();
    engine.process(controls, &mut silence);
    let moved = latency.min(length);
    for (block, rest) in blocks.iter_mut().zip(&rest) {
        block.copy_within(moved..length, 0);
        block[length - moved..length].copy_from_slice(&rest[latency - moved..]);
    }
    Ok(())
}

/// Denoises a recording that arrives in pieces, aligned with the input and of the same length. It allocates, so do not use it
/// in the audio thread.
///
/// ```
/// use wisp::{Controls, Engine, Model, Offline};
///
/// # fn read() -> Option<Vec<Vec<f32>>> { None }
/// # fn write(piece: &[Vec<f32>]) {}
/// let mut offline = Offline::new(Engine::new(&Model::studio(), 44_100, 2)?);
/// let controls = Controls::default();
/// while let Some(mut piece) = read() {
///     offline.process(&controls, &mut piece); // shorter at first
///     write(&piece);
/// }
/// write(&offline.finish(&controls));
/// # Ok::<(), wisp::EngineError>(())
/// ```
pub struct Offline {
    engine: Engine,
    ahead: usize, // output samples before the first of the recording
}

impl Offline {
    /// Starts a recording with an engine, which is reset.
    pub fn new(mut engine: Engine) -> Self {
        engine.reset();
        Self { ahead: engine.latency_samples(), engine }
    }

    /// Denoises the next piece in place: one vector per channel, equal lengths, any length. The first pieces get shorter, by
    /// [`Engine::latency_samples`] in all.
    pub fn process(&mut self, controls: &Controls, piece: &mut [Vec<f32>]) {
        let mut blocks: Vec<&mut [f32]> = piece.iter_mut().map(Vec::as_mut_slice).collect();
        self.engine.process(controls, &mut blocks);
        let length = blocks.iter().map(|block| block.len()).min().unwrap_or(0);
        let early = self.ahead.min(length);
        self.ahead -= early;
        piece.iter_mut().for_each(|channel| drop(channel.drain(..early)));
    }

    /// Returns the end of the recording, which is still inside the engine: one vector per channel. Afterwards the next
    /// recording can start.
    pub fn finish(&mut self, controls: &Controls) -> Vec<Vec<f32>> {
        let latency = self.engine.latency_samples();
        let mut rest = vec![vec![0.0; latency]; self.engine.channels()];
        self.process(controls, &mut rest);
        self.engine.reset();
        self.ahead = latency;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(length: usize) -> Vec<Vec<f32>> {
        let sample = |channel: usize, n: usize| ((n * (channel + 2)) as f32 * 0.01).sin() * 0.3;
        (0..2).map(|channel| (0..length).map(|n| sample(channel, n)).collect()).collect()
    }

    #[test]
    fn nothing_removed_gives_back_the_recording() {
        let controls = Controls { reduction_db: 0.0, ..Controls::default() };
        for length in [0, 1, 100, 959, 960, 961, 5000] {
            let mut ours = recording(length);
            denoise(&Model::live(), &controls, 48_000, &mut ours).expect("stereo at 48 kHz");
            assert!(ours == recording(length), "{length} samples");
        }
    }

    #[test]
    fn pieces_give_the_whole() {
        let (controls, model) = (Controls::default(), Model::live());
        let mut offline = Offline::new(Engine::new(&model, 44_100, 2).expect("stereo"));
        // Twice, because the second recording starts afresh; the shorter one stays inside the engine as a whole.
        for (length, size) in [(5000, 441), (5000, 700), (300, 64)] {
            let mut whole = recording(length);
            denoise(&model, &controls, 44_100, &mut whole).expect("stereo at 44.1 kHz");
            let mut joined = vec![Vec::new(); 2];
            let source = recording(length);
            for at in (0..length).step_by(size) {
                let to = length.min(at + size);
                let mut piece: Vec<Vec<f32>> = source.iter().map(|c| c[at..to].to_vec()).collect();
                offline.process(&controls, &mut piece);
                joined.iter_mut().zip(piece).for_each(|(all, piece)| all.extend(piece));
            }
            joined.iter_mut().zip(offline.finish(&controls)).for_each(|(all, end)| all.extend(end));
            assert!(joined == whole, "{length} samples in pieces of {size}");
        }
    }
}
