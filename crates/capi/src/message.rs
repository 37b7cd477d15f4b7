//! The latest error message of each thread, without allocating.
use std::cell::Cell;
use std::ffi::c_char;
use std::fmt::{self, Write};

/// Longest message with its final 0, bytes.
const LENGTH: usize = 256;

/// A C string.
pub(crate) struct Message {
    bytes: [u8; LENGTH],
    used: usize,
}

impl Message {
    /// As much of it as fits.
    pub(crate) fn new(text: fmt::Arguments<'_>) -> Self {
        let mut message = Self { bytes: [0; LENGTH], used: 0 };
        // A full buffer is not a failure.
        let _ = message.write_fmt(text);
        message
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let end = self.used + c.len_utf8();
            if end >= LENGTH {
                return Err(fmt::Error);
            }
            // A 0 would end the string.
            if c != '\0' {
                c.encode_utf8(&mut self.bytes[self.used..end]);
                self.used = end;
            }
        }
        Ok(())
    }
}

thread_local! {
    static LATEST: Cell<[u8; LENGTH]> = const { Cell::new([0; LENGTH]) };
}

pub(crate) fn set(message: Message) {
    // In a thread that is ending nobody can read the message any more.
    let _ = LATEST.try_with(|latest| latest.set(message.bytes));
}

pub(crate) fn pointer() -> *const c_char {
    LATEST.try_with(|latest| latest.as_ptr().cast_const().cast()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = Message::new(format_args!("{}", "ü".repeat(300)));
        assert_eq!(message.used, 254);
        assert!(std::str::from_utf8(&message.bytes[..message.used]).is_ok());
        assert_eq!(message.bytes[message.used..], [0, 0]);
        assert_eq!(Message::new(format_args!("a\0b")).bytes[..3], *b"ab\0");
    }
}
