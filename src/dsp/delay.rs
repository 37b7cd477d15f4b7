//! The dry path.

/// Delays by a fixed number of samples.
pub struct DelayLine {
    ring: Vec<f32>,
    at: usize,
}

impl DelayLine {
    /// A delay of `samples`.
    pub fn new(samples: usize) -> Self {
        Self { ring: vec![0.0; samples], at: 0 }
    }

    /// input -> output, of equal lengths.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) {
        output.copy_from_slice(input);
        let mut rest = output;
        while !rest.is_empty() && !self.ring.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(self.ring.len() - self.at));
            now.swap_with_slice(&mut self.ring[self.at..self.at + now.len()]);
            self.at = (self.at + now.len()) % self.ring.len();
            rest = later;
        }
    }

    /// Returns to the initial state.
    pub fn reset(&mut self) {
        self.ring.fill(0.0);
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_by_the_given_number_of_samples_in_blocks_of_any_size() {
        for delay in [0, 1, 5, 64] {
            let input: Vec<f32> = (1..200).map(|n| n as f32).collect();
            let mut output = vec![0.0; input.len()];
            let mut line = DelayLine::new(delay);
            let mut at = 0;
            for len in [1, 7, 64, 3, 124] {
                line.process(&input[at..at + len], &mut output[at..at + len]);
                at += len;
            }
            assert!(output[..delay].iter().all(|&y| y == 0.0));
            assert_eq!(output[delay..], input[..input.len() - delay]);
        }
    }
}
