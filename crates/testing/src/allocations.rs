//! An allocator that counts what each thread asks of it.
#![allow(unsafe_code)] // GlobalAlloc is an unsafe trait.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator with a counter. A test that counts declares it as its `#[global_allocator]`.
pub struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    // A thread may free memory after its thread-locals are gone.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
    let _ = HELD.try_with(|h| h.set(h.get() + bytes));
}

// SAFETY: forwards every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `work`. Returns its result, the number of allocator calls it made on this thread, and by how many bytes the
/// memory held by this thread grew.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, usize, isize) {
    let (calls, held) = (CALLS.get(), HELD.get());
    let result = work();
    (result, CALLS.get() - calls, HELD.get() - held)
}
