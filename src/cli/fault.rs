//! Panics: a failure in one file must neither stop the others nor go unreported.
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use crate::cli::error::Error;

/// Advice to the user.
pub(crate) const REPORT: &str =
    "This is a bug in Wisp: please report it with this message and, if you can, the file";

thread_local! {
    /// Number of callers that will report a panic in this thread.
    static HEARD: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

struct Panic {
    text: String,
    /// In Wisp itself, not in a library.
    own: bool,
}

/// From now on, panics that no caller reports are printed; the others become errors of their files.
pub(crate) fn install() {
    set_hook(Box::new(|info| {
        let panic = panic_of(info);
        if HEARD.get() == 0 {
            eprintln!("wisp: internal error: {}. {REPORT}", panic.text);
        }
        LAST.set(Some(panic));
    }));
}

fn panic_of(info: &PanicHookInfo<'_>) -> Panic {
    let mut text = text_of(info.payload());
    if let Some(place) = info.location() {
        text.push_str(&format!(" ({}:{})", place.file(), place.line()));
    }
    Panic { text, own: info.location().is_some_and(|place| is_own(place.file())) }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "unknown".into())
}

/// Paths in this package are relative; those in libraries are not.
fn is_own(file: &str) -> bool {
    file.starts_with("src/") || file.starts_with("src\\")
}

/// A bug triggered by one file must not stop the others. Its state and its partial output are discarded.
pub(crate) fn unless_panic<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    caught(work).unwrap_or_else(|panic| Err(Error::Fault(panic.text)))
}

/// Some damaged files make format readers panic (symphonia 0.6). Reading the file stops then.
pub(crate) fn unless_damaged<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    caught(work).unwrap_or_else(|panic| {
        Err(if panic.own {
            Error::Fault(panic.text)
        } else {
            Error::Damaged("its header or data are invalid".into())
        })
    })
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    HEARD.set(HEARD.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    HEARD.set(HEARD.get() - 1);
    // Without the hook, the location is unknown.
    result.map_err(|payload| {
        LAST.take().unwrap_or_else(|| Panic { text: text_of(&*payload), own: false })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_becomes_the_error_of_its_file() {
        install();
        assert!(matches!(unless_panic(|| Ok(1)), Ok(1)));
        let fault = |caught: Result<(), Error>| match caught {
            Err(Error::Fault(text)) => text,
            other => panic!("{other:?}"),
        };
        for text in [
            fault(unless_panic(|| panic!("index {} of {}", 3, 2))),
            fault(unless_panic(|| unless_damaged(|| panic!("index 3 of 2")))),
        ] {
            assert!(text.starts_with("index 3 of 2 (") && text.contains("fault.rs:"), "{text}");
            let said = Error::Fault(text).to_string();
            assert!(said.contains("nothing was written") && said.contains(REPORT), "{said}");
        }
        assert_eq!(HEARD.get(), 0);
    }

    #[test]
    fn panics_of_libraries_are_told_from_those_of_wisp() {
        for own in ["src/cli/wav.rs", "src\\cli\\wav.rs", "src/engine/mod.rs"] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "/home/a/.cargo/registry/src/index.crates.io/symphonia-core-0.6.0/src/io.rs",
            "/rustc/59807616e/library/core/src/slice/index.rs",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
