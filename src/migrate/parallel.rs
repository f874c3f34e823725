//! The same work on many things, on every core of this machine. Imports
//! nothing of this crate.

use std::num::NonZero;
use std::thread;

/// Fewer are not worth a thread.
const WORTH: usize = 64;

/// What `work` makes of each, in their order.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if cores == 1 || things.len() < WORTH {
        return things.iter().map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let parts: Vec<_> = things
            .chunks(things.len().div_ceil(cores))
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let mut all = Vec::with_capacity(things.len());
        for part in parts {
            match part.join() {
                Ok(done) => all.extend(done),
                // The same as without threads.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_things() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let things: Vec<usize> = (0..count).collect();
            assert_eq!(
                map(&things, |thing| thing * 2),
                (0..count).map(|n| n * 2).collect::<Vec<_>>()
            );
        }
    }
}
