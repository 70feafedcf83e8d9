//! Views: any JSON is loaded as a ViewDefinition; what loads flattens resources, and the counts must add up.
#![no_main]

use kiln_fuzz::flatten::{Flattener, Severity, Source, View};
use kiln_fuzz::{bound, mutate, resources};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::bytes(data, size, max_size, seed, mutate::view)
});

fuzz_target!(|data: &[u8]| {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    match View::compile(&json) {
        Ok((view, problems)) => {
            assert!(problems.iter().all(|p| p.severity == Severity::Warning), "{problems:?}");
            if bound::is_cheap_view(&json) {
                flatten(&view, true);
                flatten(&view, false);
            }
        }
        Err(problems) => {
            assert!(problems.iter().any(|p| p.severity == Severity::Error), "{problems:?}");
        }
    }
});

/// Every resource, whether or not it is of the view's type: a type is only what a sender says.
fn flatten(view: &View, key: bool) {
    let mut flattener = Flattener::new(view, key, resources::environment());
    let (mut given, mut failed) = (0, 0);
    for resource in resources::ORDINARY.into_iter().chain(resources::HOSTILE) {
        resources::parsed(resource, |nodes, raw, base| {
            given += 1;
            let added = flattener.add(Source { nodes, root: 0, raw, base });
            failed += u64::from(added.is_err());
        });
    }
    let (batch, counts) = flattener.finish();
    assert_eq!(counts.with_rows + counts.without_rows + counts.failed, given);
    assert_eq!((counts.failed, counts.rows), (failed, batch.num_rows() as u64));
    assert!(counts.rows >= counts.with_rows);
    assert_eq!(batch.schema(), view.schema(key));
}
