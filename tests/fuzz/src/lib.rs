//! What the fuzz targets share: the modules of Kiln under test, resources to run them on, and mutations that know
//! the input's language.
//!
//! `bash .ci/fuzz` runs all targets. They live here, and not in a `fuzz` folder at the top, because they are tests.
//!
//! The modules are compiled into this crate by their path instead of through the `kiln` crate: that would build
//! DataFusion under a sanitizer too, which takes a quarter of an hour and several gigabytes, and none of it reads what
//! is fuzzed here. The stages under test import nothing but each other, so they stand alone (`src/lib.rs` of Kiln).

#[path = "../../../src/error.rs"]
pub mod error;
#[path = "../../../src/fhir/mod.rs"]
pub mod fhir;
#[path = "../../../src/fhirpath/mod.rs"]
pub mod fhirpath;
#[path = "../../../src/flatten/mod.rs"]
pub mod flatten;
#[path = "../../../src/ingest/mod.rs"]
pub mod ingest;
#[allow(dead_code, unused_imports)] // only mistakes are reached
#[path = "../../../src/settings/mod.rs"]
pub mod settings;
#[path = "../../../src/suggest.rs"]
pub mod suggest;
#[path = "../../../src/temporal/mod.rs"]
pub mod temporal;
#[allow(dead_code, unused_imports)] // SQL converts between more units than FHIRPath
#[path = "../../../src/ucum/mod.rs"]
pub mod ucum;

pub mod bound;
pub mod mutate;
pub mod resources;
