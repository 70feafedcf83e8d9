//! A simulated year of nightly runs, and what goes wrong in single nights; black box: the program against a Bulk Data
//! server whose data changes.
//!
//! ```text
//! Life ──changes──► Population ◄──shows── Server ◄──exports── kiln run nightly.toml (killed now and then) ──► tables
//!                        └───────────────── what the tables should hold ────────────── compared ────────────────┘
//! ```
//!
//! `KILN_YEARS` simulates more years, `KILN_SEED` another course of things; then each year is longer than in CI.

mod compare;
mod draft;
mod draws;
mod failures;
mod life;
mod nights;
mod pipeline;
mod population;
mod server;

use self::nights::{Kind, Plan, simulate};
use crate::support::block_on;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// 12 full exports and 300 increments of a group whose members come and go.
#[test]
fn a_year_of_nights_ends_as_a_load_from_scratch() {
    let years = variable("KILN_YEARS").unwrap_or(1);
    let plan = Plan {
        seed: variable("KILN_SEED").unwrap_or(6),
        months: 12 * usize::try_from(years).unwrap(),
        increments: 25,
        patients: 20,
        kind: Kind::Group,
        crashes: 20,
    };
    let account = block_on(simulate(plan));
    println!("{account:?}");
    assert!(account.crashes > 0 && account.abandoned > 0 && account.errors > 0, "{account:?}");
    assert!(account.compared * 10 > account.nights * 8, "{account:?}");
}

/// All patients of a server, in nights that are killed as often as not.
#[test]
fn a_month_without_a_group_and_with_many_crashes() {
    let seed = variable("KILN_SEED").unwrap_or(7);
    let plan =
        Plan { seed, months: 2, increments: 10, patients: 12, kind: Kind::Patients, crashes: 60 };
    let account = block_on(simulate(plan));
    println!("{account:?}");
    assert!(account.crashes > 0, "{account:?}");
}

/// The same without increments: the model and the tables agree.
#[test]
fn nights_of_full_loads() {
    let seed = variable("KILN_SEED").unwrap_or(8);
    let plan = Plan { seed, months: 1, increments: 9, patients: 12, kind: Kind::Full, crashes: 50 };
    let account = block_on(simulate(plan));
    println!("{account:?}");
}
