//! The ports of a plugin, the same in both formats.
use wisp::parameter::EngineParameter;

/// Which format's conventions apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// LADSPA: a Bypass port.
    Ladspa,
    /// LV2: an `enabled` port in its place, 1 for on.
    Lv2,
}

/// The kind of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A channel's input.
    Input(usize),
    /// A channel's output.
    Output(usize),
    /// A parameter's value.
    Control(EngineParameter),
    /// The delay, samples; written by the plugin.
    Latency,
}

/// The ports by number. Hosts store the numbers, so new ports go at the end.
pub fn ports(channels: usize) -> Vec<Port> {
    let controls =
        EngineParameter::ALL.into_iter().filter(|&c| channels == 2 || c != EngineParameter::Stereo);
    let mut ports: Vec<Port> = (0..channels).map(Port::Input).collect();
    ports.extend((0..channels).map(Port::Output));
    ports.extend(controls.map(Port::Control));
    ports.push(Port::Latency);
    ports
}

impl Port {
    /// A name for programs, which never changes.
    pub fn symbol(self, channels: usize) -> &'static str {
        self.names(channels).0
    }

    /// A name for people.
    pub fn name(self, channels: usize) -> &'static str {
        self.names(channels).1
    }

    fn names(self, channels: usize) -> (&'static str, &'static str) {
        match (self, channels) {
            (Self::Input(_), 1) => ("in", "Input"),
            (Self::Output(_), 1) => ("out", "Output"),
            (Self::Input(0), _) => ("in_left", "Left Input"),
            (Self::Input(_), _) => ("in_right", "Right Input"),
            (Self::Output(0), _) => ("out_left", "Left Output"),
            (Self::Output(_), _) => ("out_right", "Right Output"),
            (Self::Control(EngineParameter::Bypass), _) => ("enabled", "Enabled"),
            (Self::Control(parameter), _) => (parameter.id(), parameter.name()),
            (Self::Latency, _) => ("latency", "Latency"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_change() {
        let symbols =
            |channels| ports(channels).iter().map(|p| p.symbol(channels)).collect::<Vec<_>>();
        assert_eq!(
            symbols(1),
            [
                "in",
                "out",
                "reduction",
                "sensitivity",
                "ambience",
                "output",
                "listen",
                "enabled",
                "latency"
            ]
        );
        assert_eq!(
            symbols(2),
            [
                "in_left",
                "in_right",
                "out_left",
                "out_right",
                "reduction",
                "sensitivity",
                "ambience",
                "output",
                "listen",
                "stereo",
                "enabled",
                "latency"
            ]
        );
    }
}
