//! An allocator that counts what each thread asks of it.
#![allow(unsafe_code)] // a global allocator is an unsafe trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    // A thread that is ending may still free memory.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
    let _ = HELD.try_with(|h| h.set(h.get() + bytes));
}

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: handed on as it came.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: handed on as it came.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: handed on as it came.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What came of `work`, how often it called the allocator, and how many bytes more are held after it.
pub(crate) fn count<T>(work: impl FnOnce() -> T) -> (T, usize, isize) {
    let (calls, held) = (CALLS.get(), HELD.get());
    let result = work();
    (result, CALLS.get() - calls, HELD.get() - held)
}
