//! Blocks to hops and back.

/// Collects hops from blocks of any size, and plays the processed hops.
///
/// A processed hop is played one hop later. A frame is the last two hops.
pub struct Framer {
    hop: usize,
    filled: usize,
    frames: Vec<Vec<f32>>, // per channel, two hops: the one before and the one being collected
    outputs: Vec<Vec<f32>>,
}

impl Framer {
    /// For `channels` channels.
    pub fn new(channels: usize, hop: usize) -> Self {
        Self {
            hop,
            filled: 0,
            frames: vec![vec![0.0; 2 * hop]; channels],
            outputs: vec![vec![0.0; hop]; channels],
        }
    }

    /// Samples until the hop is full.
    pub fn room(&self) -> usize {
        self.hop - self.filled
    }

    /// Samples of the hop that have arrived, and the length of a hop.
    pub fn filled(&self) -> (usize, usize) {
        (self.filled, self.hop)
    }

    /// Exchanges at most [`Framer::room`] samples of a channel: input in, output out.
    pub fn exchange(&mut self, channel: usize, input: &[f32], output: &mut [f32]) {
        output.copy_from_slice(&self.outputs[channel][self.filled..self.filled + input.len()]);
        self.collect(channel, input);
    }

    /// Collects at most [`Framer::room`] samples of a channel without playing any.
    pub fn collect(&mut self, channel: usize, input: &[f32]) {
        let at = self.hop + self.filled;
        self.frames[channel][at..at + input.len()].copy_from_slice(input);
    }

    /// Call after every channel's exchange. Returns true when the hop is full: then read each channel's [`Framer::frame`]
    /// and write its [`Framer::output`] before the next exchange.
    pub fn advance(&mut self, samples: usize) -> bool {
        self.filled += samples;
        self.filled == self.hop
    }

    /// The last two hops of a channel.
    pub fn frame(&self, channel: usize) -> &[f32] {
        &self.frames[channel]
    }

    /// The output during the next hop.
    pub fn output(&mut self, channel: usize) -> &mut [f32] {
        &mut self.outputs[channel]
    }

    /// Starts the next hop after a full one.
    pub fn next(&mut self) {
        for frame in &mut self.frames {
            frame.copy_within(self.hop.., 0);
        }
        self.filled = 0;
    }

    /// Returns to the initial state.
    pub fn reset(&mut self) {
        self.filled = 0;
        self.frames.iter_mut().chain(&mut self.outputs).for_each(|b| b.fill(0.0));
    }
}
