//! Texts that the plugin reads as values of its parameters, in every format alike.

/// A parameter's name, a text, and its value from 0 to 1; none where the text means nothing.
pub const TEXTS: &[(&str, &str, Option<f64>)] = &[
    ("Bypass", "on", Some(1.0)),
    ("Bypass", " ON ", Some(1.0)),
    ("Bypass", "Yes", Some(1.0)),
    ("Bypass", "1", Some(1.0)),
    ("Bypass", "Off", Some(0.0)),
    ("Bypass", "no", Some(0.0)),
    ("Bypass", "false", Some(0.0)),
    ("Bypass", "perhaps", None),
    ("Bypass", "", None),
    ("Listen", "removed", Some(1.0)),
    ("Listen", " RESULT", Some(0.0)),
    ("Listen", "nothing", None),
    ("Stereo", "independent", Some(1.0)),
    ("Stereo", "LINKED ", Some(0.0)),
    ("Stereo", "quadrophonic", None),
    ("Stereo", "", None),
    ("Quality", "studio", Some(1.0)),
    ("Quality", " LIVE", Some(0.0)),
    ("Quality", "cinema", None),
    ("Reduction", "FULL", Some(1.0)),
    ("Output", "+12 db", Some(0.75)),
    ("Output", "nan", None),
    ("Ambience", "50%", Some(0.5)),
];
