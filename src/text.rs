//! Control values as people type them and as they are shown.
use crate::parameter::{REDUCTION_FULL, REDUCTION_LIMIT_DB, is_full};

/// Shown for NaN.
const NO_VALUE: &str = "–";

/// "24", "24 dB", "-3dB": decibels.
pub fn decibels(text: &str) -> Option<f32> {
    let text = text.trim().to_lowercase();
    number(text.strip_suffix("db").unwrap_or(&text))
}

/// "25", "25 %" or, as a level, "-12 dB": percent.
pub fn percent(text: &str) -> Option<f32> {
    let text = text.trim().to_lowercase();
    match text.strip_suffix("db") {
        Some(level) => Some(100.0 * 10f32.powf(number(level)? / 20.0)),
        None => number(text.strip_suffix('%').unwrap_or(&text)),
    }
}

fn number(text: &str) -> Option<f32> {
    text.trim().parse::<f32>().ok().filter(|number| number.is_finite())
}

/// A Reduction value as text.
pub fn reduction_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    if is_full(plain) {
        return "Full".to_owned();
    }
    format!("{} dB", one_decimal(plain.min(REDUCTION_LIMIT_DB)))
}

/// Text as a Reduction value: "24", "24 dB", "-24 dB" (a reduction either way) or "full".
pub fn reduction_from_string(text: &str) -> Option<f32> {
    let lower = text.trim().to_lowercase();
    let bare = lower.strip_suffix("db").unwrap_or(&lower).trim();
    if ["full", "max", "inf", "-inf", "∞", "-∞"].contains(&bare) {
        return Some(REDUCTION_FULL);
    }
    let db = decibels(text)?.abs();
    Some(if is_full(db) { REDUCTION_FULL } else { db.min(REDUCTION_LIMIT_DB) })
}

/// A Sensitivity or Output value as text.
pub fn signed_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    let text = one_decimal(plain);
    if text.starts_with('-') || text == "0" { format!("{text} dB") } else { format!("+{text} dB") }
}

/// Text as a Sensitivity or Output value within a range either way: "-3", "+3 dB".
pub fn signed_from_string(text: &str, range: f32) -> Option<f32> {
    Some(decibels(text)?.clamp(-range, range))
}

/// An Ambience value as text.
pub fn ambience_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    format!("{} %", one_decimal(plain))
}

/// Text as an Ambience value: "25", "25 %", or the level of the noise to keep: "-12 dB".
pub fn ambience_from_string(text: &str) -> Option<f32> {
    Some(percent(text)?.clamp(0.0, 100.0))
}

/// Text as a switch.
pub fn switch_from_string(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "bypassed" => Some(true),
        "off" | "false" | "no" | "0" | "active" => Some(false),
        _ => None,
    }
}

/// At most one decimal, none for whole numbers, never "-0".
fn one_decimal(value: f32) -> String {
    let tenths = (value * 10.0).round();
    if tenths == 0.0 {
        "0".to_owned()
    } else if tenths % 10.0 == 0.0 {
        format!("{:.0}", tenths / 10.0)
    } else {
        format!("{:.1}", tenths / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{OUTPUT_RANGE_DB, SENSITIVITY_RANGE_DB};

    #[test]
    fn units_may_be_left_out() {
        for (text, db) in [("24", 24.0), (" -3 dB ", -3.0), ("+0.5DB", 0.5), ("0", 0.0)] {
            assert_eq!(decibels(text), Some(db), "{text:?}");
        }
        for (text, share) in [("25", 25.0), ("25 %", 25.0), ("4.5%", 4.5), ("-20 dB", 10.0)] {
            assert_eq!(percent(text), Some(share), "{text:?}");
        }
        for text in ["", "dB", "%", "loud", "nan", "inf", "1e99", "12 dB dB", "3 % %"] {
            assert_eq!((decibels(text), percent(text)), (None, None), "{text:?}");
        }
        assert_eq!((decibels("3 %"), percent("inf dB")), (None, None));
    }

    #[test]
    fn reduction_text_goes_both_ways() {
        for (text, value) in [
            ("full", REDUCTION_FULL),
            (" Full ", REDUCTION_FULL),
            ("inf dB", REDUCTION_FULL),
            ("24", 24.0),
            ("24 dB", 24.0),
            ("24.5dB", 24.5),
            ("-12 db", 12.0),
            ("0", 0.0),
            ("60", 60.0),
            ("1000", REDUCTION_FULL),
        ] {
            assert_eq!(reduction_from_string(text), Some(value), "{text:?}");
        }
        for text in ["", "dB", "loud", "nan", "12 dB dB"] {
            assert_eq!(reduction_from_string(text), None, "{text:?}");
        }
        for tenths in 0..=600 {
            let value = tenths as f32 / 10.0;
            let text = reduction_to_string(value);
            let back = reduction_from_string(&text).expect("own text is understood");
            assert!((back - value).abs() < 1e-4, "{value} -> {text} -> {back}");
        }
        assert_eq!(reduction_to_string(REDUCTION_FULL), "Full");
        assert_eq!(reduction_to_string(60.2), "60 dB");
    }

    #[test]
    fn signed_text_goes_both_ways() {
        for (value, text) in
            [(0.0, "0 dB"), (-0.01, "0 dB"), (3.0, "+3 dB"), (-3.25, "-3.3 dB"), (24.0, "+24 dB")]
        {
            assert_eq!(signed_to_string(value), text);
        }
        for tenths in -240..=240 {
            let value = tenths as f32 / 10.0;
            let text = signed_to_string(value);
            let back = signed_from_string(&text, OUTPUT_RANGE_DB).expect("own text");
            assert!((back - value).abs() < 1e-4, "{value} -> {back}");
        }
        assert_eq!(signed_from_string("99", OUTPUT_RANGE_DB), Some(OUTPUT_RANGE_DB));
        assert_eq!(signed_from_string("-99 dB", SENSITIVITY_RANGE_DB), Some(-12.0));
        assert_eq!(signed_from_string("x", SENSITIVITY_RANGE_DB), None);
    }

    #[test]
    fn ambience_text_goes_both_ways() {
        for tenths in 0..=1000 {
            let value = tenths as f32 / 10.0;
            let back = ambience_from_string(&ambience_to_string(value)).expect("own text");
            assert!((back - value).abs() < 1e-4, "{value} -> {back}");
        }
        assert_eq!(ambience_from_string(" 25%"), Some(25.0));
        assert_eq!(ambience_from_string("-20 dB"), Some(10.0));
        assert_eq!(ambience_from_string("300"), Some(100.0));
        for text in ["", "%", "much", "nan %", "inf"] {
            assert_eq!(ambience_from_string(text), None, "{text:?}");
        }
    }
}
