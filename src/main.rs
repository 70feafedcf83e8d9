//! The `kiln` program: arguments in, exit code out.

use std::process::ExitCode;

/// Parquet encoding allocates and frees large buffers on many threads, which glibc's allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kiln::cli::main()
}
