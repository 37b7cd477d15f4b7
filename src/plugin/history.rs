//! Undo and redo of the user's changes in the editor.
use super::params::Parameter;

/// Steps that can be undone.
const DEPTH: usize = 100;
/// Changes of one parameter within this time are one step, seconds.
const TOGETHER: f64 = 0.8;

/// One parameter's change; values are normalized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The parameter.
    pub parameter: Parameter,
    /// Its value before.
    pub before: f32,
    /// Its value after.
    pub after: f32,
}

/// Steps done and undone. Host automation is not recorded.
#[derive(Debug, Default)]
pub struct History {
    done: Vec<Vec<Change>>,
    undone: Vec<Vec<Change>>,
    /// When the last step was recorded, seconds.
    at: Option<f64>,
}

impl History {
    /// Records a step at a time in seconds, unless it changes nothing.
    pub fn record(&mut self, mut step: Vec<Change>, now: f64) {
        step.retain(|change| change.before != change.after);
        if step.is_empty() {
            return;
        }
        self.undone.clear();
        let close = self.at.is_some_and(|at| (0.0..TOGETHER).contains(&(now - at)));
        self.at = Some(now);
        if let ([change], Some([last])) = (&step[..], self.done.last_mut().map(|l| &mut l[..]))
            && close
            && last.parameter == change.parameter
        {
            last.after = change.after;
            return;
        }
        if self.done.len() == DEPTH {
            self.done.remove(0);
        }
        self.done.push(step);
    }

    /// Makes the next change a separate step, however soon it comes.
    pub fn seal(&mut self) {
        self.at = None;
    }

    /// The values that undo the last step.
    pub fn undo(&mut self) -> Option<Vec<(Parameter, f32)>> {
        let step = self.done.pop()?;
        let values = step.iter().map(|change| (change.parameter, change.before)).collect();
        self.undone.push(step);
        self.at = None;
        Some(values)
    }

    /// The values that redo the last undone step.
    pub fn redo(&mut self) -> Option<Vec<(Parameter, f32)>> {
        let step = self.undone.pop()?;
        let values = step.iter().map(|change| (change.parameter, change.after)).collect();
        self.done.push(step);
        self.at = None;
        Some(values)
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.done.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.undone.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::params::EngineParameter;

    fn change(parameter: EngineParameter, before: f32, after: f32) -> Change {
        Change { parameter: parameter.into(), before, after }
    }

    /// Values by parameters.
    fn values<const N: usize>(
        values: [(EngineParameter, f32); N],
    ) -> Option<Vec<(Parameter, f32)>> {
        Some(values.map(|(parameter, value)| (parameter.into(), value)).to_vec())
    }

    #[test]
    fn steps_go_back_and_forth() {
        let mut history = History::default();
        history.record(vec![change(EngineParameter::Reduction, 1.0, 0.5)], 0.0);
        history.record(
            vec![
                change(EngineParameter::Output, 0.5, 0.6),
                change(EngineParameter::Ambience, 0.0, 0.2),
            ],
            5.0,
        );
        let back = values([(EngineParameter::Output, 0.5), (EngineParameter::Ambience, 0.0)]);
        assert_eq!(history.undo(), back);
        assert_eq!(history.undo(), values([(EngineParameter::Reduction, 1.0)]));
        assert_eq!(history.undo(), None);
        assert_eq!(history.redo(), values([(EngineParameter::Reduction, 0.5)]));
        assert!(history.can_undo() && history.can_redo());
        // A new step discards undone ones.
        history.record(vec![change(EngineParameter::Bypass, 0.0, 1.0)], 9.0);
        assert_eq!(history.redo(), None);
        assert_eq!(history.undo(), values([(EngineParameter::Bypass, 0.0)]));
    }

    #[test]
    fn notches_of_one_wheel_are_one_step() {
        let mut history = History::default();
        for i in 0..5 {
            let at = f64::from(i) * 0.1;
            let value = i as f32 * 0.1;
            history.record(vec![change(EngineParameter::Output, value, value + 0.1)], at);
        }
        history.record(vec![change(EngineParameter::Output, 0.5, 0.7)], 9.0);
        history.record(vec![change(EngineParameter::Output, 0.7, 0.7)], 20.0);
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.5)]));
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.0)]));
        assert_eq!(history.undo(), None);
    }

    #[test]
    fn a_sealed_step_is_never_joined() {
        let mut history = History::default();
        history.record(vec![change(EngineParameter::Output, 0.5, 0.6)], 5.0);
        history.seal();
        history.record(vec![change(EngineParameter::Output, 0.6, 0.7)], 5.1);
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.6)]));
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.5)]));
    }

    #[test]
    fn a_clock_that_goes_back_joins_nothing() {
        let mut history = History::default();
        history.record(vec![change(EngineParameter::Output, 0.5, 0.6)], 300.0);
        history.record(vec![change(EngineParameter::Output, 0.6, 0.7)], 0.2);
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.6)]));
    }

    #[test]
    fn a_step_after_undoing_never_joins_an_older_one() {
        let mut history = History::default();
        history.record(vec![change(EngineParameter::Output, 0.5, 0.6)], 0.0);
        history.record(vec![change(EngineParameter::Reduction, 1.0, 0.6)], 0.1);
        history.undo();
        history.record(vec![change(EngineParameter::Output, 0.6, 0.9)], 0.2);
        assert_eq!(history.undo(), values([(EngineParameter::Output, 0.6)]));
    }

    #[test]
    fn the_oldest_steps_are_forgotten() {
        let mut history = History::default();
        for i in 0..2 * DEPTH {
            history.record(vec![change(EngineParameter::Output, 0.0, 1.0)], 10.0 * i as f64);
        }
        assert_eq!((0..).take_while(|_| history.undo().is_some()).count(), DEPTH);
    }
}
