//! A ring of the latest frames.

/// A fixed number of items; each new one replaces the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Ring<T> {
    items: Vec<T>,
    now: usize, // the newest
}

impl<T> Ring<T> {
    /// `count` items, at least one.
    pub(crate) fn new(count: usize, item: T) -> Self
    where
        T: Clone,
    {
        Self { items: vec![item; count.max(1)], now: 0 }
    }

    /// Makes the oldest item the newest, to be overwritten.
    pub(crate) fn turn(&mut self) -> &mut T {
        self.now = (self.now + 1) % self.items.len();
        &mut self.items[self.now]
    }

    pub(crate) fn newest_mut(&mut self) -> &mut T {
        &mut self.items[self.now]
    }

    /// The item `count` turns ago; `count` must be less than the number of items.
    pub(crate) fn ago(&self, count: usize) -> &T {
        &self.items[(self.now + self.items.len() - count) % self.items.len()]
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }

    /// Copies another ring of the same length; allocates only if `copy` does.
    pub(crate) fn copy_from(&mut self, other: &Self, copy: impl Fn(&mut T, &T)) {
        self.items.iter_mut().zip(&other.items).for_each(|(a, b)| copy(a, b));
        self.now = other.now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let mut ring = Ring::new(3, 0);
        for x in 1..=5 {
            *ring.turn() = x;
        }
        assert_eq!([0, 1, 2].map(|n| *ring.ago(n)), [5, 4, 3]);
        let mut other = Ring::new(3, 0);
        other.copy_from(&ring, |a, b| *a = *b);
        *other.turn() = 6;
        assert_eq!([0, 1, 2].map(|n| *other.ago(n)), [6, 5, 4]);
    }
}
