//! Control values as people write them.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
