//! The channel from the audio thread to the editor under loom, which tries the possible interleavings of two threads and the
//! stale reads that the memory model allows (but not load buffering, so it cannot check the release of slots).
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use loom::thread;

#[path = "../src/plugin/meters/queue.rs"]
mod queue;

const SLOTS: usize = 2;
const WIDTH: usize = 2;
type Queue = queue::Queue<SLOTS, WIDTH>;

/// Two related bytes, so that a torn frame is detected.
fn frame(n: u8) -> [u8; WIDTH] {
    [n, 100 + n]
}

/// Takes all frames; each must be whole and newer than the one before.
fn take(queue: &Queue, newest: &mut u8) -> usize {
    let mut taken = 0;
    while let Some(seen) = queue.pop() {
        assert_eq!(seen, frame(seen[0]), "a torn frame");
        assert!(seen[0] > *newest, "frame {} after {newest}", seen[0]);
        *newest = seen[0];
        taken += 1;
    }
    taken
}

#[test]
fn frames_come_whole_and_in_order_and_none_is_lost_unsaid() {
    loom::model(|| {
        let queue = Arc::new(Queue::new());
        let (to_write, to_read) = (Arc::clone(&queue), Arc::clone(&queue));
        // More frames than slots, so one is reused while the reader is active. The reader runs second because loom explores
        // alternatives for a read after a write, but not for a write after a read.
        let writer = thread::spawn(move || (1..=3).filter(|&n| to_write.push(frame(n))).count());
        let reader = thread::spawn(move || {
            let mut newest = 0;
            (take(&to_read, &mut newest), newest)
        });
        let written = writer.join().unwrap();
        let (mut taken, mut newest) = reader.join().unwrap();
        taken += take(&queue, &mut newest);
        assert_eq!(taken, written);
        assert!(written >= SLOTS);
    });
}

#[test]
fn an_editor_that_opens_meanwhile_sees_whole_frames() {
    loom::model(|| {
        let queue = Arc::new(Queue::new());
        assert!(queue.push(frame(1)));
        let writer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push(frame(2));
                queue.push(frame(3));
            })
        };
        queue.clear();
        // The earlier frame is gone.
        let mut newest = 1;
        take(&queue, &mut newest);
        writer.join().unwrap();
        take(&queue, &mut newest);
        assert!(queue.pop().is_none() && queue.push(frame(4)));
    });
}
